"""The real package as it is used here: tasks, parameters, levels, and the child that serves it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from slime_hookspecs import ConfigError
from slime_hookspecs.testing.kit import make_run
from slime_plugin_reasoning_gym import Options, child, library, slime_data_source
from slime_plugin_reasoning_gym.library import BLOCK, Recipe

WITHOUT_LEVELS = {"acre", "gsm_symbolic", "list_functions"}


def test_tasks_have_categories() -> None:
    known = library.categories()
    assert known["leg_counting"] == "arithmetic"
    assert known["sudoku"] == "games"
    assert set(known.values()) == {
        *("algebra", "algorithmic", "arc", "arithmetic", "code", "cognition"),
        *("games", "geometry", "graphs", "induction", "logic", "probability"),
    }
    assert not set(known) & set(known.values())


def test_a_category_is_all_of_its_tasks_and_names_come_once() -> None:
    found = library.chosen(["induction", "acre", "leg_counting"])
    assert found == ["acre", "list_functions", "leg_counting"]


@pytest.mark.parametrize("scope", ["inclusive", "upper_bound"])
def test_every_task_but_three_has_levels_and_the_package_takes_each(scope: str) -> None:
    for task in library.categories():
        count = library.levels(task, "{}", scope)
        assert count < 50
        none = WITHOUT_LEVELS | ({"knight_swap"} if scope == "inclusive" else set())
        assert (count == 0) is (task in none), task
        for level in range(count):
            library.settings(Recipe(task, "{}", level, scope))


def test_levels_that_the_package_refuses_itself_are_left_out() -> None:
    """Of rotations up to 25 it has levels to 50; of Rubik's cubes up to size 6 one of size 7."""
    _, _, curricula = library._package()
    for task, lost in (("caesar_cipher", 2), ("rubiks_cube", 1), ("modulo_grid", 1)):
        all_levels = max(len(one.levels) for one in curricula[task]().attributes.values())
        assert library.levels(task, "{}", "upper_bound") == all_levels - lost
    made = library.settings(Recipe("modulo_grid", "{}", 1, "upper_bound"))
    assert made.max_target > 0


def test_levels_move_the_parameters_and_the_scope_says_from_where() -> None:
    def terms(level: int, scope: str) -> tuple[int, int]:
        made = library.settings(Recipe("chain_sum", "{}", level, scope))
        return made.min_terms, made.max_terms

    assert terms(0, "inclusive") == terms(0, "upper_bound")
    assert terms(3, "inclusive")[0] == terms(0, "inclusive")[0]
    assert terms(3, "upper_bound")[0] > terms(0, "upper_bound")[0]
    assert terms(3, "inclusive")[1] == terms(3, "upper_bound")[1]


def test_parameters_that_a_level_does_not_set_are_kept() -> None:
    config = json.dumps({"allow_negation": True})
    made = library.settings(Recipe("chain_sum", config, 2))
    assert made.allow_negation is True


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            Recipe("chain_sum", '{"min_term": 1}'),
            "no parameter 'min_term'; did you mean 'min_terms'",
        ),
        (Recipe("chain_sum", '{"min_terms": 0}'), "refuses the parameters .*AssertionError"),
        (Recipe("chain_sum", '{"min_terms": "x"}'), "refuses the parameters .*TypeError"),
        (Recipe("chain_sum", "{}", 99), r"task 'chain_sum' has \d+ levels, no 99"),
        (Recipe("acre", "{}", 0), "task 'acre' has 0 levels, no 0"),
    ],
)
def test_what_the_package_refuses_is_said_in_its_words(recipe: Recipe, message: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=message):
        library.settings(recipe)


@pytest.mark.parametrize("task", ["acre", "word_ladder", "chain_sum", "codeio", "arc_agi"])
def test_blocks_have_problems_of_their_own(task: str) -> None:
    seeds = (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 10 * BLOCK)
    found = [library.problem(Recipe(task), seed)["question"] for seed in seeds]
    assert len(set(found)) == len(found)
    assert found[3] == library.problem(Recipe(task), BLOCK)["question"]


@pytest.mark.parametrize("task", ["leg_counting", "chain_sum", "caesar_cipher"])
def test_a_problem_is_what_the_package_itself_makes_of_a_seed(task: str) -> None:
    import reasoning_gym

    theirs = reasoning_gym.create_dataset(task, seed=3 * BLOCK, size=BLOCK)
    for place in (0, 5, BLOCK - 1):
        ours = library.problem(Recipe(task), 3 * BLOCK + place)
        assert (ours["question"], ours["answer"]) == (
            theirs[place]["question"],
            theirs[place]["answer"],
        )


def test_a_source_of_all_tasks_draws_from_all_of_them_in_time() -> None:
    options = Options(tasks=["arithmetic", "logic"], eval_size=1, timeout_s=20.0)
    start = time.monotonic()
    source = slime_data_source(options, make_run())
    drawn = {prompt.metadata["dataset"] for prompt in source.take(150)}
    wanted = set(library.chosen(["arithmetic", "logic"]))
    assert drawn <= wanted
    assert len(drawn) > 0.9 * len(wanted)
    assert time.monotonic() - start < 45


def serve(*jobs: Any) -> list[Any]:
    answers = io.StringIO()
    child.serve(io.StringIO("".join(json.dumps(job) + "\n" for job in jobs)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_the_child_answers_each_line_with_a_line() -> None:
    made, names, levels, wrong, unknown = serve(
        ["problem", ["leg_counting", "{}", None, "inclusive"], 3],
        ["chosen", ["leg_counting"]],
        ["levels", "leg_counting", "{}", "inclusive"],
        ["chosen", ["leg_countin"]],
        ["problem", ["no_task", "{}", None, "inclusive"], 3],
    )
    assert made == [True, library.problem(Recipe("leg_counting"), 3)]
    assert names == [True, ["leg_counting"]]
    assert levels == [True, library.levels("leg_counting", "{}", "inclusive")]
    assert wrong[:2] == [False, "ConfigError"]
    assert unknown[:2] == [False, "KeyError"]


def test_the_child_ends_with_its_input_and_with_its_parent() -> None:
    command = [sys.executable, "-m", "slime_plugin_reasoning_gym.child"]
    done = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=20)
    assert (done.returncode, done.stdout) == (0, b"")
    code = (
        "import subprocess, sys\n"
        "read = open(sys.argv[1], 'rb')\n"
        "made = subprocess.Popen([sys.executable, '-m', 'slime_plugin_reasoning_gym.child'],"
        " stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[])\n"
        "import os, time\n"
        "keep = os.dup(made.stdin.fileno())\n"
        "print(made.pid, flush=True)\n"
        "time.sleep(0.5)\n"
        "os._exit(0)\n"
    )
    parent = subprocess.run(
        [sys.executable, "-c", code, os.devnull], capture_output=True, check=True, timeout=20
    )
    pid = int(parent.stdout)
    end = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
