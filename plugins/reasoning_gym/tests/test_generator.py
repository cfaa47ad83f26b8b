"""The process that makes problems: where it hangs, crashes or raises, it costs one problem."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

import pytest
from slime_hookspecs import ConfigError, DataError
from slime_hookspecs.testing.kit.clock import children
from slime_plugin_reasoning_gym.generator import Failed, Generator
from slime_plugin_reasoning_gym.library import BLOCK, Recipe

COUNTS = Recipe("counts")


def numbers(generator: Generator, *seeds: int) -> list[str]:
    return [generator.problem((COUNTS, seed))["answer"] for seed in seeds]


def test_a_problem_depends_on_its_seed_alone_whatever_was_made_before(generator: Generator) -> None:
    assert numbers(generator, 3, BLOCK, BLOCK - 1, 3) == ["3", str(BLOCK), str(BLOCK - 1), "3"]
    first = generator.problem((COUNTS, 3))
    assert first == generator.problem((COUNTS, 3))
    assert first["metadata"]["random"] != generator.problem((COUNTS, 4))["metadata"]["random"]


def test_another_process_with_another_hash_seed_makes_the_same(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "8")
    first = generator.problem((COUNTS, 5))
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    other = Generator(2.0)
    assert other.problem((COUNTS, 5)) == first
    other.close()


def test_parameters_and_levels_make_other_problems(generator: Generator) -> None:
    assert generator.problem((Recipe("counts", '{"least": 100}'), 1))["answer"] == "101"
    assert generator.problem((Recipe("counts", "{}", 0), 15))["answer"] == "5"


def test_what_a_task_prints_is_not_taken_for_an_answer(generator: Generator) -> None:
    made = [generator.problem((Recipe("prints"), seed))["answer"] for seed in (1, 2)]
    assert made == ["1", "2"]


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ("raises", "KeyError: 'no such board'"),
        ("crashes", "the process that makes problems ended with status"),
        ("hangs", r"it took more than 0\.3 s"),
    ],
)
def test_a_task_that_fails_costs_one_problem(stand_in: None, task: str, why: str) -> None:
    generator = Generator(timeout_s=0.3)
    assert numbers(generator, 1) == ["1"]
    start = time.monotonic()
    with pytest.raises(Failed, match=why):
        generator.problem((Recipe(task), 0))
    assert time.monotonic() - start < 5
    generator._timeout_s = 5.0
    assert numbers(generator, 2) == ["2"]
    generator.close()


@pytest.mark.parametrize("task", ["raises", "crashes", "hangs"])
def test_a_failure_among_problems_made_ahead_is_that_of_its_own_job(
    stand_in: None, task: str
) -> None:
    generator = Generator(timeout_s=1.0)
    bad = (Recipe(task), 0)
    generator.make_ahead([(COUNTS, 1), bad, (COUNTS, 2), (COUNTS, 3)])
    assert numbers(generator, 1, 3) == ["1", "3"]
    with pytest.raises(Failed):
        generator.problem(bad)
    assert numbers(generator, 2) == ["2"]
    generator.close()


def test_problems_made_ahead_are_made_while_nobody_waits(generator: Generator) -> None:
    numbers(generator, 0)
    generator.make_ahead((COUNTS, seed) for seed in range(100, 150))
    assert numbers(generator, *range(149, 99, -1)) == [str(n) for n in range(149, 99, -1)]
    assert generator._ready == {}


def test_what_was_made_ahead_and_is_not_wanted_is_dropped(generator: Generator) -> None:
    generator.make_ahead([(COUNTS, 1), (COUNTS, 2)])
    generator.make_ahead([(COUNTS, 2), (COUNTS, 3)])
    assert set(generator._ready) | set(generator._sent) == {(COUNTS, 2), (COUNTS, 3)}
    assert numbers(generator, 3, 1, 2) == ["3", "1", "2"]


def test_no_more_is_sent_ahead_than_a_pipe_holds(generator: Generator) -> None:
    long = Recipe("counts", '{"least": 1}' + " " * 9_000)
    generator.make_ahead((long, seed) for seed in range(100))
    assert len(generator._sent) == 3
    assert generator.problem((long, 50))["answer"] == "51"


def test_the_process_ends_with_its_generator(stand_in: None) -> None:
    before = children()
    generator = Generator(2.0)
    numbers(generator, 1)
    (child,) = children() - before
    assert Path(f"/proc/{child}").exists()
    del generator
    gc.collect()
    assert children() == before
    assert not Path(f"/proc/{child}").exists()


def test_a_fork_that_ends_leaves_the_process_to_its_owner(generator: Generator) -> None:
    numbers(generator, 1)
    pid = os.fork()
    if pid == 0:
        import weakref

        weakref.finalize._exitfunc()  # type: ignore[attr-defined]
        os._exit(0)
    os.waitpid(pid, 0)
    assert generator._child is not None
    assert generator._child.poll() is None
    assert numbers(generator, 2) == ["2"]


def test_what_the_package_refuses_is_the_users_mistake(generator: Generator) -> None:
    with pytest.raises(ConfigError, match="no task or category 'count'; did you mean 'counts'"):
        generator.ask("chosen", ["count"])
    with pytest.raises(DataError, match="reasoning_gym: TypeError"):
        generator.ask("levels", "counts")
    assert numbers(generator, 1) == ["1"]


def test_a_package_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "reasoning_gym"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('numpy is too old')")
    monkeypatch.syspath_prepend(str(tmp_path))
    generator = Generator(2.0)
    with pytest.raises(DataError, match="ImportError: numpy is too old"):
        generator.ask("chosen", ["counts"])
    generator.close()


def test_threads_that_ask_at_once_each_get_their_own_problem(generator: Generator) -> None:
    """The driver and the rollout of one process may share the generator of a time limit."""
    found: dict[int, list[str]] = {}

    def ask(start: int) -> None:
        generator.make_ahead((COUNTS, seed) for seed in range(start, start + 5))
        found[start] = numbers(generator, *range(start, start + 20))

    threads = [threading.Thread(target=ask, args=[start]) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {start: [str(n) for n in range(start, start + 20)] for start in (0, 100, 200)}


def test_a_generator_that_was_closed_begins_anew(generator: Generator) -> None:
    assert numbers(generator, 1) == ["1"]
    generator.make_ahead([(COUNTS, 2), (COUNTS, 3)])
    generator.close()
    assert numbers(generator, 2, 3) == ["2", "3"]
    generator.close()
    generator.close()
