"""What an answer is worth; and all tasks of the real package, from problem to score."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from slime_hookspecs import DataError, Reward, Sample
from slime_hookspecs.testing.kit import make_sample
from slime_plugin_reasoning_gym import Options, library, slime_reward
from slime_plugin_reasoning_gym.datasets import Dataset, prompt
from slime_plugin_reasoning_gym.generator import Generator
from slime_plugin_reasoning_gym.library import Recipe
from slime_plugin_reasoning_gym.reward import score

Answered = Callable[..., Sample]


def value(sample: Sample, **options: Any) -> float:
    return score(sample, Options(**options)).value


def test_the_packages_score_is_the_reward_with_its_parts(answered: Answered) -> None:
    right = score(answered("42"), Options())
    assert right == Reward(1.0, {"score": 1.0, "solved": 1.0, "answered": 1.0})
    wrong = score(answered("41"), Options())
    assert wrong == Reward(0.0, {"score": 0.0, "solved": 0.0, "answered": 1.0})
    mute = make_sample(answered("42").prompt, response="42")
    assert score(mute, Options()) == Reward(0.0, {"score": 0.0, "solved": 0.0, "answered": 0.0})
    assert value(mute, answer="response") == 1.0


def test_partial_credit_can_be_turned_off(answered: Answered) -> None:
    near = answered("the answer is 42", task="base_conversion")
    assert 0 < value(near) < 1
    assert value(near, partial_credit=False) == 0.0
    assert value(answered("42"), partial_credit=False) == 1.0


@pytest.mark.parametrize(("answer", "earned"), [("42", 1.0), ("41", 0.25)])
def test_a_part_can_be_for_answering_at_all(answered: Answered, answer: str, earned: float) -> None:
    assert value(answered(answer), format_reward=0.25) == earned
    mute = make_sample(answered("42").prompt, response=answer)
    assert value(mute, format_reward=0.25) == 0.0


def test_what_the_model_wrote_is_not_run(answered: Answered, tmp_path: Any) -> None:
    trap = tmp_path / "ran"
    code = f"open({str(trap)!r}, 'w').write('')"
    for task in ("binary_matrix", "countdown", "n_queens", "string_insertion", "puzzle24"):
        metadata = {"numbers": [1], "target": 1, "valid_answers": []}
        assert value(answered(code, task=task, right="0 1", metadata=metadata)) <= 0.0
    assert not trap.exists()


def test_a_scorer_has_the_parameters_of_the_problem(answered: Answered) -> None:
    for places, right in ((3, 1.0), (6, 0.0)):
        config = json.dumps({"max_num_decimal_places": places, "precision": 9})
        sample = answered("0.3331", task="decimal_arithmetic", right="0.3334", config=config)
        assert value(sample) == right


@pytest.mark.parametrize(
    "label",
    [
        None,
        "42",
        {"answer": "42"},
        {"task": "leg_counting", "answer": 42},
        {"task": 1, "answer": "42"},
        {
            "task": "no_task",
            "answer": "42",
            "metadata": {},
            "config": "{}",
            "scope": "inclusive",
            "level": None,
        },
    ],
)
def test_labels_of_other_data_sources_are_refused(answered: Answered, label: Any) -> None:
    sample = answered("42")
    sample.prompt = type(sample.prompt)("p", sample.prompt.messages, label)
    with pytest.raises(DataError, match="prompt p: its label"):
        score(sample, Options())


def test_a_scorer_that_does_not_bear_an_answer_gives_nothing_for_it(
    answered: Answered, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scorer(answer: str | None, entry: dict[str, Any]) -> float:
        return {"42": 1.0, "nan": float("nan"), "7": 7.0, "-1": -1.0}[str(answer)]

    monkeypatch.setattr(library, "scorer", lambda recipe: scorer)
    found = [value(answered(text)) for text in ("42", "x", "nan", "7", "-1")]
    assert found == [1.0, 0.0, 0.0, 1.0, 0.0]
    with pytest.raises(DataError, match="the package's scorer fails on it: KeyError"):
        value(answered("x", right="y"))


def test_the_reward_travels_to_a_worker_process() -> None:
    assert pickle.loads(pickle.dumps(slime_reward)) is slime_reward
    options = Options(datasets={"a": {"weight": 2.0}})
    assert pickle.loads(pickle.dumps(options)) == options


def test_the_package_is_not_imported_with_the_plugin() -> None:
    code = (
        "import sys, slime_plugin_reasoning_gym as p; p.slime_conformance();"
        "sys.exit(any(m in sys.modules for m in ('reasoning_gym', 'numpy', 'sympy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="module")
def real() -> Iterator[Generator]:
    """Makes problems of the real package."""
    made = Generator(timeout_s=20.0)
    yield made
    made.close()


TASKS = sorted(library.categories())


def test_there_are_all_tasks() -> None:
    assert len(TASKS) >= 105
    assert "composite" not in TASKS
    assert set(library.chosen(["all"])) == {*TASKS} - library.UNSOUND
    assert library.chosen([*library.UNSOUND]) == [*library.UNSOUND]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_makes_a_problem_whose_right_answer_scores_1(real: Generator, task: str) -> None:
    recipe = Recipe(task)
    made = real.problem((recipe, 5))
    given = prompt(Dataset(task, recipe), recipe, 5, made, "{question}")
    given = type(given)(**json.loads(json.dumps({k: getattr(given, k) for k in given.__slots__})))
    for text in ("", "no", "[[1, 2], [3]]", "9" * 5000, "{" * 100, "1 2 3\n4 5 6"):
        sample = make_sample(given, response=f"<answer>{text}</answer>")
        found = value(sample)
        assert 0.0 <= found <= 1.0
        assert found < 1.0 or text == made["answer"] or task in library.UNSOUND
    if made["answer"] is not None:
        sample = make_sample(given, response=f"<answer>{made['answer']}</answer>")
        assert value(sample) == 1.0


@pytest.mark.parametrize("task", ["chain_sum", "graph_color", "arc_1d", "caesar_cipher"])
def test_levels_of_the_package_make_problems_that_its_scorer_takes(
    real: Generator, task: str
) -> None:
    for level in (0, real.ask("levels", task, "{}", "upper_bound") - 1):
        recipe = Recipe(task, "{}", level, "upper_bound")
        made = real.problem((recipe, 7))
        assert made["question"] != real.problem((Recipe(task), 7))["question"]
        given = prompt(Dataset(task, recipe), recipe, 7, made, "{question}")
        answer = made["answer"]
        sample = make_sample(given, response=f"<answer>{answer}</answer>")
        assert value(sample) == 1.0 or answer is None
