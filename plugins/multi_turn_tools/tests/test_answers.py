"""What counts as the final answer, which answers are equal, and what they are worth."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import Context, DataError, Reward, Sample
from slime_hookspecs.datasets import accuracy, held_out
from slime_hookspecs.testing.kit import make_group, make_prompt, make_sample
from slime_plugin_multi_turn_tools import Options, slime_reward, verify

MakeContext = Callable[..., Context[Options]]


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("Answer: 42", "42"),
        ("so... answer :42 \nand more", "42"),
        ("ANSWER: 42", "42"),
        ("Answer: 41\nno, Answer: 42", "42"),
        ("Answer:\n42", "42"),
        ("Answer: 4 2", "4 2"),
        ("The calculator said 42.", None),
        ("42", None),
        ("Answer:", None),
        ("", None),
        ("Answer: 42" + "." * 300, None),
        ("." * 1000 + "Answer: 42", "42"),
    ],
)
def test_the_answer_is_what_follows_the_last_answer_mark(response: str, answer: str | None) -> None:
    assert verify.extract(response) == answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("+42", 42),
        ("-42", -42),
        ("\u221242", -42),
        ("007", 7),
        ("1,250", 1250),
        ("1,250,000.5", Fraction(2500001, 2)),
        ("0.125", Fraction(1, 8)),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("1e3", 1000),
        ("1.5E-2", Fraction(3, 200)),
        ("3/4", Fraction(3, 4)),
        ("-6/8", Fraction(-3, 4)),
        ("**42**", 42),
        ("$42$", 42),
        ("$1,000.", 1000),
        ("\\(42\\)", 42),
        ("`42`", 42),
        (" 42 \t", 42),
        ("42!", 42),
        ("9" * 400, int("9" * 400)),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, value: Fraction | int) -> None:
    assert verify.number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-",
        "e5",
        "/2",
        "seven",
        "4 2",
        "41 or 42",
        "1,25",
        "12,50,000",
        "1/0",
        "0x10",
        "1e9999",
        "inf",
        "nan",
        "\u0664\u0662",
        "--5",
        "1.2.3",
        "9" * 401,
    ],
)
def test_other_texts_are_no_numbers(text: str) -> None:
    assert verify.number(text) is None


@pytest.mark.parametrize(
    ("answer", "label", "equal"),
    [
        ("42", "42", True),
        ("42.0", "42", True),
        ("1/2", "0.5", True),
        ("2,146.", "2146", True),
        ("1e3", "1000", True),
        ("Paris", "Paris", True),
        ("paris", "Paris", False),
        ("0.3333", "1/3", False),
        ("42", "Paris", False),
        ("41 or 42", "42", False),
        ("", "42", False),
        ("9" * 401, "9" * 401, True),
        ("9" * 401, "9" * 400, False),
    ],
)
def test_answers_are_equal_as_texts_or_as_numbers(answer: str, label: str, equal: bool) -> None:
    assert verify.same(answer, label) is equal


@given(st.text(), st.text())
def test_comparing_never_fails(answer: str, label: str) -> None:
    found = verify.extract(answer)
    assert found is None or found == found.strip()
    assert verify.same(answer, answer)
    assert verify.same(answer, label) == verify.same(label, answer)


@given(st.fractions())
def test_every_fraction_is_itself(value: Fraction) -> None:
    text = f"{value.numerator}/{value.denominator}"
    assert verify.number(text) == value or len(text) > verify.MOST


def test_a_megabyte_is_compared_in_no_time() -> None:
    started = time.perf_counter()
    for text in ("9" * 1_000_000, "Answer: 1\n" * 100_000, "1," * 500_000, "$" * 1_000_000):
        answer = verify.extract(text) or text
        verify.same(answer, "42")
    assert time.perf_counter() - started < 1.0


def scored(response: str, **fields: Any) -> Sample:
    """A finished sample with the label 42."""
    return make_sample(make_prompt("6*7=", "42"), response=response, **fields)


def noted(calls: int, errors: int) -> dict[str, Any]:
    """Metadata of a sample with so many calls."""
    return {"multi_turn_tools": {"calls": calls, "errors": errors, "ended_at": 7}}


async def test_right_and_wrong_answers_get_what_the_options_say(context: MakeContext) -> None:
    ctx = context(wrong=-1.0)
    parts = {"turns": 1.0, "calls": 0.0, "errors": 0.0}
    right = await slime_reward(scored("Answer: 42"), ctx)
    assert right == Reward(1.0, {"correct": 1.0, "answered": 1.0, **parts})
    wrong = await slime_reward(scored("Answer: 41"), ctx)
    assert wrong == Reward(-1.0, {"correct": 0.0, "answered": 1.0, **parts})
    mute = await slime_reward(scored("42"), ctx)
    assert mute == Reward(-1.0, {"correct": 0.0, "answered": 0.0, **parts})


@pytest.mark.parametrize(
    ("response", "calls", "errors", "value"),
    [
        ("Answer: 42", 2, 0, 1.1),
        ("Answer: 42", 2, 1, 1.1),
        ("Answer: 42", 2, 2, 1.0),
        ("Answer: 42", 0, 1, 1.0),
        ("Answer: 42", 0, 0, 1.0),
        ("Answer: 41", 2, 0, 0.0),
    ],
)
async def test_a_bonus_is_for_right_answers_that_took_a_call(
    response: str, calls: int, errors: int, value: float, context: MakeContext
) -> None:
    sample = scored(response, metadata=noted(calls, errors))
    found = await slime_reward(sample, context(tool_bonus=0.1))
    assert found.value == pytest.approx(value)
    assert (found.metrics["calls"], found.metrics["errors"]) == (calls, errors)


async def test_without_the_option_calls_are_worth_nothing(context: MakeContext) -> None:
    with_calls = await slime_reward(scored("Answer: 42", metadata=noted(3, 0)), context())
    assert with_calls.value == 1.0


async def test_in_evaluation_the_reward_is_one_or_nothing(context: MakeContext) -> None:
    options = context(wrong=-1.0, tool_bonus=0.5).options
    ctx: Context[Options] = Context(context().run, options, evaluating="heldout")
    right = await slime_reward(scored("Answer: 42", metadata=noted(3, 0)), ctx)
    wrong = await slime_reward(scored("Answer: 41"), ctx)
    assert (right.value, wrong.value) == (1.0, 0.0)


@pytest.mark.parametrize("label", [None, True, [42], {"a": 1}])
async def test_a_label_that_cannot_be_compared_is_an_error_of_the_data(
    label: Any, context: MakeContext
) -> None:
    sample = make_sample(make_prompt("6*7=", label, id="p"), response="Answer: 42")
    with pytest.raises(DataError) as caught:
        await slime_reward(sample, context())
    assert str(caught.value) == (
        f"prompt p: its label is {label!r}; multi_turn_tools needs a text or a number"
    )


@pytest.mark.parametrize("label", [42, 42.0, "42", " 42 "])
async def test_labels_of_other_data_sources_are_read_where_they_can_be(
    label: Any, context: MakeContext
) -> None:
    sample = make_sample(make_prompt("6*7=", label), response="Answer: 42")
    assert (await slime_reward(sample, context())).value == 1.0


def test_accuracy_does_not_depend_on_rewards() -> None:
    group = make_group([0.0, 0.0, None])
    for sample, correct in zip(group.samples, (1.0, 0.0, 1.0), strict=True):
        sample.rewards = {"multi_turn_tools": Reward(0.0, {"correct": correct}), "x": Reward(5.0)}
    assert accuracy([group]) == {"accuracy": 0.5}
    assert accuracy([]) == {}


def test_a_set_is_measured_greedily_and_by_sampling() -> None:
    prompts = [make_prompt()]
    greedy, sampled = held_out("my set-1", prompts, 4)
    assert (greedy.name, greedy.samples_per_prompt, greedy.sampling.temperature) == (
        "my_set_1_greedy",
        1,
        0.0,
    )
    assert (sampled.name, sampled.samples_per_prompt, sampled.sampling.temperature) == (
        "my_set_1_sampled",
        4,
        None,
    )
    assert [one.name for one in held_out("a", prompts, 0)] == ["a_greedy"]
