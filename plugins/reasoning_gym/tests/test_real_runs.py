"""The real package as a run goes through it: data sets, answers, groups, levels."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from slime_hookspecs import KEEP, Group, Prompt, RunInfo, Sample, Verdict
from slime_hookspecs.testing.kit import make_context, make_run, make_sample
from slime_plugin_reasoning_gym import (
    Options,
    slime_data_source,
    slime_eval_sets,
    slime_on_group,
    slime_reward,
)
from slime_plugin_reasoning_gym.source import ProblemSource

MIXED: dict[str, Any] = {
    "tasks": ["leg_counting", "gsm_symbolic"],
    "datasets": {
        "sums": {"task": "chain_sum", "weight": 3.0},
        "lists": {"task": "number_sorting", "level": 1},
    },
    "curriculum": True,
    "curriculum_window": 2,
    "eval_size": 4,
    "timeout_s": 20.5,
}


def scored(prompt: Prompt, answers: list[str], options: Options, run: RunInfo) -> Group:
    """A group as the core has it when observers are told."""
    ctx = make_context(options=options, run=run)
    samples: list[Sample] = []
    for answer in answers:
        sample = make_sample(prompt, response=answer)
        sample.rewards["reasoning_gym"] = slime_reward(sample, ctx)
        sample.reward = sample.rewards["reasoning_gym"].value
        samples.append(sample)
    return Group(0, prompt, samples)


def answer(prompt: Prompt) -> str:
    return f"<answer>{prompt.label['answer']}</answer>"


@pytest.fixture(scope="module")
def mixed() -> tuple[Options, ProblemSource, RunInfo]:
    """A source of several real data sets."""
    options, run = Options(**MIXED), make_run(name="mixed")
    return options, slime_data_source(options, run), run


def test_a_mixture_is_drawn_by_weight_with_levels_where_tasks_have_them(
    mixed: tuple[Options, ProblemSource, RunInfo],
) -> None:
    _, source, _ = mixed
    taken = source.take(200)
    drawn = Counter(prompt.metadata["dataset"] for prompt in taken)
    assert set(drawn) == {"leg_counting", "gsm_symbolic", "sums", "lists"}
    assert drawn["sums"] > 2 * max(count for name, count in drawn.items() if name != "sums") * 0.8
    levels = {prompt.metadata["dataset"]: prompt.metadata["level"] for prompt in taken}
    assert levels == {"leg_counting": 0, "gsm_symbolic": None, "sums": 0, "lists": 1}
    assert len({prompt.id for prompt in taken}) == 200


def test_prompts_survive_a_checkpoint_and_are_scored_the_same(
    mixed: tuple[Options, ProblemSource, RunInfo],
) -> None:
    options, source, run = mixed
    for prompt in source.take(12):
        row = json.loads(json.dumps({name: getattr(prompt, name) for name in prompt.__slots__}))
        answers = [answer(prompt), "<answer>-1</answer>", ""]
        here, there = (scored(one, answers, options, run) for one in (prompt, Prompt(**row)))
        assert [s.rewards for s in here.samples] == [s.rewards for s in there.samples]
        assert here.samples[0].reward == 1.0
        assert here.samples[2].reward == 0.0


@pytest.mark.parametrize("verdict", [KEEP, Verdict(keep=False, reason="zero_variance")])
def test_right_answers_raise_the_level_and_wrong_ones_lower_it_again(verdict: Verdict) -> None:
    name = f"levels {verdict.reason}"
    options, run = Options(**{**MIXED, "tasks": [], "eval_size": 0}), make_run(name=name)
    source = slime_data_source(options, run)
    ctx = make_context(options=options, run=run)

    def levels(reply: Any, steps: int) -> list[int | None]:
        seen = [source.curriculum.levels["sums"]]
        for _ in range(steps):
            for prompt in source.take(4):
                slime_on_group(scored(prompt, [reply(prompt)] * 2, options, run), ctx)
            seen.append(source.curriculum.levels["sums"])
        return seen

    up = levels(answer, 6)
    assert up == sorted(up)
    assert (up[-1] or 0) >= 4
    prompt = next(one for one in source.take(20) if one.metadata["dataset"] == "sums")
    assert prompt.id.startswith(f"sums/level{up[-1]}/")
    down = levels(lambda prompt: "<answer>no</answer>", 6)
    assert down[-1] == 0


def test_problems_get_longer_with_the_level() -> None:
    def length(level: int) -> float:
        table = {"task": "chain_sum", "level": level}
        given = {"datasets": {"sums": table}, "eval_size": 0, "timeout_s": 20.25}
        options = Options(curriculum_scope="upper_bound", **given)
        taken = slime_data_source(options, make_run(name=f"level {level}")).take(20)
        return sum(len(prompt.messages[0]["content"]) for prompt in taken) / 20

    assert length(0) < length(4) < length(8)


def test_held_out_sets_are_of_the_levels_that_are_asked_for() -> None:
    options = Options(**{**MIXED, "eval_levels": [0, 3]})
    sets = {one.name: one.prompts for one in slime_eval_sets(options)}
    assert sorted(sets) == [
        "gsm_symbolic",
        "leg_counting_level0",
        "leg_counting_level3",
        "lists_level0",
        "lists_level3",
        "sums_level0",
        "sums_level3",
    ]
    assert all(len(prompts) == 4 for prompts in sets.values())
    for prompt in sets["sums_level3"]:
        run = make_run()
        assert scored(prompt, [answer(prompt)], options, run).samples[0].reward == 1.0


def test_a_resumed_source_of_real_data_sets_gives_the_same_problems(
    mixed: tuple[Options, ProblemSource, RunInfo],
) -> None:
    options, source, _ = mixed
    source.take(7)
    state = json.loads(json.dumps(source.state()))
    other = slime_data_source(options, make_run(name="other", seed=5))
    other.take(2)
    other.restore(state)
    assert other.take(25) == source.take(25)


def test_small_data_sets_keep_what_is_held_out_apart() -> None:
    given = {"datasets": {"coin_flip": {}}, "eval_size": 40, "timeout_s": 20.75}
    options = Options(**given)
    (held_out,) = slime_eval_sets(options)
    asked = {str(prompt.messages) for prompt in held_out.prompts}
    trained = {
        str(prompt.messages)
        for prompt in slime_data_source(options, make_run(name="small")).take(300)
    }
    assert len(asked) == len(held_out.prompts) > 10
    assert len(trained) > 20
    assert not asked & trained
