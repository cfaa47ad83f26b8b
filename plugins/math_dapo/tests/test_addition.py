"""The built-in task."""

from __future__ import annotations

from slime_hookspecs import RunInfo
from slime_plugin_math_dapo import Options, addition, slime_data_source, slime_eval_sets, verify

ADDITION = Options(task="addition")


def test_all_problems_are_there_once_and_the_split_never_changes() -> None:
    train, held_out = addition.problems()
    assert (len(train), len(held_out)) == (800, 200)
    assert sorted(train + held_out) == [(a, b) for a in range(100) for b in range(10)]
    assert addition.problems() == (train, held_out)
    assert held_out[:3] == [(5, 6), (30, 6), (55, 8)]


def test_question_and_answer_have_the_form_that_the_reward_reads() -> None:
    assert addition.question((37, 5)) == "37+5="
    assert addition.answer((37, 5)) == "Answer: 42"
    prompt = addition.prompt((37, 5))
    assert prompt.messages == [{"role": "user", "content": "37+5="}]
    assert verify.extract(addition.answer((37, 5))) == prompt.label == "42"


def test_the_source_gives_the_training_problems_and_no_other(run: RunInfo) -> None:
    taken = slime_data_source(ADDITION, run).take(800)
    expected = {addition.prompt(problem).id for problem in addition.problems()[0]}
    assert {prompt.id for prompt in taken} == expected
    assert len(expected) == 800


def test_held_out_problems_are_measured_greedily_and_by_sampling() -> None:
    greedy, sampled = slime_eval_sets(Options(task="addition", eval_samples_per_prompt=4))
    assert (greedy.name, greedy.samples_per_prompt, greedy.sampling.temperature) == (
        "heldout_greedy",
        1,
        0.0,
    )
    assert (sampled.name, sampled.samples_per_prompt, sampled.sampling.temperature) == (
        "heldout_sampled",
        4,
        None,
    )
    assert [p.label for p in greedy.prompts] == [str(a + b) for a, b in addition.problems()[1]]


def test_sampling_the_held_out_set_can_be_turned_off() -> None:
    (only,) = slime_eval_sets(Options(task="addition", eval_samples_per_prompt=0))
    assert only.name == "heldout_greedy"
