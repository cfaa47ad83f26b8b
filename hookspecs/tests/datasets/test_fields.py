"""Columns of data files as prompts, labels and held-out sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import DataError, EvalSet, Group, Prompt, Reward, Sample, Sampling
from slime_hookspecs.datasets import Row, accuracy, greedy, held_out, label, messages

USER = [{"role": "user", "content": "1+1="}]


def row(**values: Any) -> Row:
    return Row(Path("data.jsonl"), 7, values)


def test_a_text_becomes_one_message_of_the_user_in_its_template() -> None:
    found = messages(row(q="1+1="), "q", "--x.q", "Solve: {prompt} Then {prompt}")
    assert found == [{"role": "user", "content": "Solve: 1+1= Then 1+1="}]


def test_messages_stay_as_they_are() -> None:
    assert messages(row(q=USER), "q", "--x.q", "Solve: {prompt}") == USER


@pytest.mark.parametrize(
    "given", ["", "  \n", [], None, 5, ["hi"], [{"role": "user"}], [{"content": "x", "role": 1}]]
)
def test_what_is_neither_is_refused_with_its_place(given: Any) -> None:
    with pytest.raises(DataError, match=r"^data.jsonl:7: 'q' is .*; it must be a string that is"):
        messages(row(q=given), "q", "--x.q")


def test_a_missing_column_names_the_nearest_and_the_option() -> None:
    with pytest.raises(DataError, match=r"did you mean 'question'\? \(--x.q question\)"):
        messages(row(question="1"), "questoin", "--x.q")


@pytest.mark.parametrize(
    ("given", "found"), [(" 42 ", "42"), (42, "42"), (0.5, "0.5"), ("0", "0"), (0, "0")]
)
def test_a_label_is_text(given: Any, found: str) -> None:
    assert label(row(a=given), "a", "--x.a") == found


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (True, "it must be a string or a number"),
        (None, "it must be a string or a number"),
        ([1], "it must be a string or a number"),
        ("  ", "which no answer can match"),
    ],
)
def test_a_label_that_no_answer_matches_is_refused(given: Any, wrong: str) -> None:
    with pytest.raises(DataError, match=f"^data.jsonl:7: 'a' is .*{wrong}$"):
        label(row(a=given), "a", "--x.a")


def test_a_held_out_set_is_measured_greedily_and_by_sampling() -> None:
    prompts = [Prompt("p", USER)]
    greedy, sampled = held_out("my set-1", prompts, 8)
    assert (greedy.name, sampled.name) == ("my_set_1_greedy", "my_set_1_sampled")
    assert (greedy.sampling, sampled.sampling) == (Sampling(temperature=0.0), Sampling())
    assert (greedy.samples_per_prompt, sampled.samples_per_prompt) == (1, 8)
    assert [one.name for one in held_out("x", prompts, 0)] == ["x_greedy"]


def sample(index: int, correct: float | None, reward: float | None = 0.0) -> Sample:
    metrics = {} if correct is None else {"correct": correct}
    return Sample(index, 0, Prompt("p", USER), reward=reward, rewards={"t": Reward(0.0, metrics)})


def test_accuracy_is_a_mean_over_scored_samples_that_say_whether_they_are_right() -> None:
    prompt = Prompt("p", USER)
    groups = [
        Group(0, prompt, [sample(0, 1.0), sample(1, 0.0), sample(2, 1.0, reward=None)]),
        Group(1, prompt, [sample(3, 1.0), sample(4, None)]),
    ]
    assert accuracy(groups) == {"accuracy": pytest.approx(2 / 3)}
    assert accuracy([Group(0, prompt, [sample(0, None)])]) == {}


def answered(groups: list[Group]) -> dict[str, float]:
    return {"answered": float(len(groups))}


def test_held_out_sets_report_what_they_are_told_to() -> None:
    prompts = [Prompt("p", USER)]
    sets = held_out("x", prompts, 2, answered)
    assert [one.metrics for one in sets] == [answered] * 2
    assert [one.metrics for one in held_out("x", prompts, 2)] == [accuracy] * 2


def test_a_greedy_set_has_the_name_that_it_is_given_and_one_answer_to_each_prompt() -> None:
    prompts = [Prompt("p", USER)]
    assert greedy("hotpot-qa dev", prompts, answered) == EvalSet(
        "hotpot_qa_dev", prompts, 1, Sampling(temperature=0.0), answered
    )
    assert greedy("x", prompts).metrics is accuracy


def test_where_no_option_names_another_column_only_the_nearest_one_is_named() -> None:
    given = row(question="1")
    for read in (given.get, lambda column: messages(given, column), lambda c: label(given, c)):
        with pytest.raises(DataError) as refused:
            read("questoin")
        assert str(refused.value) == (
            "data.jsonl:7: no column 'questoin' among 'question'; did you mean 'question'?"
        )
    with pytest.raises(DataError, match=r"no column 'answer' among 'question'$"):
        label(given, "answer")
