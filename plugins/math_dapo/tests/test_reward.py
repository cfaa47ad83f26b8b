"""What is a right answer, what it is worth, and which groups are kept."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import KEEP, Context, DataError, Group, Reward, Sample, SampleError, Verdict
from slime_hookspecs.datasets import accuracy
from slime_plugin_math_dapo import Options, random_reward, slime_filter, slime_reward, verify
from slime_plugin_math_dapo.reward import overlong_penalty

MakeContext = Callable[..., Context[Options]]
MakeSample = Callable[..., Sample]


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("Answer: 42", "42"),
        ("so... answer :42 \nand more", "42"),
        ("Answer: 41\nno, Answer: 42", "42"),
        ("Answer:\n42", "42"),
        ("Answer: 4 2", "4 2"),
        ("42", None),
        ("Answer:", None),
        ("", None),
        ("Answer: 42" + "." * 300, None),
        ("." * 1000 + "Answer: 42", "42"),
    ],
)
def test_the_answer_is_what_follows_the_last_answer_mark(response: str, answer: str | None) -> None:
    assert verify.extract(response) == answer


@given(st.text())
def test_extraction_never_fails(response: str) -> None:
    found = verify.extract(response)
    assert found is None or found == found.strip()


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("42", "42"),
        ("0.5", r"\frac{1}{2}"),
        (r"\frac{2}{4}", "1/2"),
        ("$42$", "42"),
        (r"\boxed{42}", "42"),
        ("1,000", "1000"),
        ("(3, 4)", "(3, 4)"),
        ("x + 1", "1 + x"),
        (r"2\sqrt{2}", r"\sqrt{8}"),
        ("42.", "42"),
    ],
)
def test_equal_values_are_equal(answer: str, label: str) -> None:
    assert verify.same_value(answer, label)


@pytest.mark.parametrize(
    ("answer", "label"),
    [("41", "42"), ("4", "(3, 4)"), ("", "42"), ("forty-two", "42"), ("-42", "42"), ("}{", "1")],
)
def test_other_values_are_not(answer: str, label: str) -> None:
    assert not verify.same_value(answer, label)


def test_verification_works_outside_the_main_thread_where_signals_do_not() -> None:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(verify.same_value("0.25", "1/4")))
    thread.start()
    thread.join()
    assert found == [True]


def test_text_comparison_knows_no_mathematics(
    make_context: MakeContext, make_sample: MakeSample
) -> None:
    half = make_sample("Answer: 0.5", label="1/2")
    assert slime_reward(half, make_context(verifier="math")).value == 1.0
    assert slime_reward(half, make_context(verifier="exact")).value == 0.0
    assert slime_reward(half, make_context(task="addition")).value == 0.0


def test_right_and_wrong_answers_get_what_the_options_say(
    make_context: MakeContext, make_sample: MakeSample
) -> None:
    ctx = make_context(task="addition", wrong=-1.0)
    right = slime_reward(make_sample("Answer: 42"), ctx)
    assert right == Reward(1.0, {"correct": 1.0, "answered": 1.0})
    wrong = slime_reward(make_sample("Answer: 41"), ctx)
    assert wrong == Reward(-1.0, {"correct": 0.0, "answered": 1.0})
    mute = slime_reward(make_sample("42"), ctx)
    assert mute == Reward(-1.0, {"correct": 0.0, "answered": 0.0})


def test_labels_of_other_data_sources_are_read_where_they_can_be(
    make_context: MakeContext, make_sample: MakeSample
) -> None:
    ctx = make_context(task="addition")
    assert slime_reward(make_sample("Answer: 42", label=42), ctx).value == 1.0
    with pytest.raises(DataError, match="prompt p: its label is None"):
        slime_reward(make_sample("Answer: 42", label=None), ctx)


@pytest.mark.parametrize(
    ("length", "penalty"), [(1, 0.0), (80, 0.0), (85, 0.25), (90, 0.5), (100, 1.0), (120, 1.0)]
)
def test_the_overlong_penalty_rises_through_the_buffer(length: int, penalty: float) -> None:
    assert overlong_penalty(length, 100, Options(overlong_buffer=20)) == pytest.approx(penalty)


def test_a_long_response_loses_reward_in_training_but_not_in_evaluation(
    make_context: MakeContext, make_sample: MakeSample
) -> None:
    long = make_sample("Answer: 42", tokens=90)
    options = {"task": "addition", "overlong_buffer": 20, "overlong_penalty": 0.5, "wrong": -1.0}
    training = slime_reward(long, make_context(**options))
    assert training.value == pytest.approx(0.75)
    assert training.metrics["overlong_penalty"] == pytest.approx(0.25)
    assert slime_reward(long, make_context(evaluating="heldout", **options)).value == 1.0
    wrong = make_sample("Answer: 41", tokens=90)
    assert slime_reward(wrong, make_context(evaluating="heldout", **options)).value == 0.0


def test_the_prompt_does_not_count_as_overlong(
    make_context: MakeContext, make_sample: MakeSample
) -> None:
    ctx = make_context(budget=4, task="addition", overlong_buffer=2)
    assert slime_reward(make_sample("Answer: 42", tokens=2), ctx).value == 1.0


def group(sample: Sample, *rewards: float | None) -> Group:
    samples = [Sample(i, 0, sample.prompt, reward=r) for i, r in enumerate(rewards)]
    return Group(0, sample.prompt, samples)


@pytest.mark.parametrize(
    ("rewards", "mode", "verdict"),
    [
        ((1.0, 1.0), "refill", Verdict(False, "zero_variance")),
        ((0.0, 0.0, None), "refill", Verdict(False, "zero_variance")),
        ((None, None), "refill", Verdict(False, "zero_variance")),
        ((1.0, 0.0), "refill", KEEP),
        ((1.0, 1.0), "off", KEEP),
    ],
)
def test_dynamic_sampling_drops_groups_that_teach_nothing(
    rewards: tuple[float | None, ...],
    mode: str,
    verdict: Verdict,
    make_context: MakeContext,
    make_sample: MakeSample,
) -> None:
    found = slime_filter(group(make_sample(""), *rewards), make_context(dynamic_sampling=mode))
    assert found == verdict


def test_accuracy_of_a_held_out_set_does_not_depend_on_reward_weights(
    make_sample: MakeSample,
) -> None:
    def scored(correct: float) -> Sample:
        rewards = {"other": Reward(5.0), "math_dapo": Reward(correct, {"correct": correct})}
        return make_sample("", rewards=rewards, reward=0.3)

    failed = scored(0.0)
    failed.error = SampleError("math_dapo", "slime_reward", "ValueError", "no")
    samples = [scored(1.0), scored(0.0), scored(1.0), scored(1.0), failed]
    assert accuracy([Group(0, samples[0].prompt, samples)]) == {"accuracy": 0.75}
    assert accuracy([]) == {}


async def test_the_random_control_is_right_three_times_in_ten_and_repeatable(
    run: Any,
) -> None:
    values = [await random_reward.slime_reward(Context(run, None, seed=i)) for i in range(4000)]
    again = [await random_reward.slime_reward(Context(run, None, seed=i)) for i in range(4000)]
    assert values == again
    assert set(values) == {0.0, 1.0}
    assert sum(values) / len(values) == pytest.approx(0.3, abs=0.03)


def test_reward_and_options_travel_to_a_worker_process(make_context: MakeContext) -> None:
    options = make_context(task="addition").options
    assert pickle.loads(pickle.dumps(options)) == options
    assert pickle.loads(pickle.dumps(slime_reward)) is slime_reward


def test_sympy_is_imported_only_when_mathematics_is_compared() -> None:
    code = (
        "import sys, slime_plugin_math_dapo as p; p.verify.same_text('1', '1');"
        "sys.exit('sympy' in sys.modules or 'pyarrow' in sys.modules)"
    )
    code = code.replace("p.verify", "p.reward.verify")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
