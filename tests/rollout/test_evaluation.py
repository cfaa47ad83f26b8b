"""Held-out sets: what is measured, and that nothing is filtered away."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_fakes import FakeClient, config_of, hook, prompt, studio_of
from slime_hookspecs import EvalSet, Group, PluginError, Sample, Sampling, Verdict

from slime_core.rollout.contexts import Scene
from slime_core.rollout.evaluation import merged, pass_at

SCENE = Scene(3, 2, evaluating="held")


async def odd_is_right(sample: Sample, ctx: Any) -> float:
    assert ctx.evaluating == "held"
    if sample.prompt.label == 9:
        raise ValueError("broken prompt")
    return float(sample.index % 2)


REWARD = hook("slime_reward", odd_is_right)


def never(group: Group, ctx: Any) -> Verdict:
    raise AssertionError("a filter was asked while evaluating")


DROP = hook("slime_filter", never)


async def measure(eval_set: EvalSet, *hooks: Any) -> dict[str, float]:
    studio, _ = studio_of(config_of(), *hooks)
    return await studio.measure(SCENE, eval_set, FakeClient())


async def test_mean_and_pass_at_k() -> None:
    eval_set = EvalSet("held", [prompt(0), prompt(1)], samples_per_prompt=4)
    metrics = await measure(eval_set, REWARD, DROP)
    assert metrics["eval/held/reward_mean"] == metrics["eval/held/mean@4"] == 0.5
    assert metrics["eval/held/pass@1"] == 0.5
    assert metrics["eval/held/pass@2"] == pytest.approx(1 - 1 / 6)
    assert metrics["eval/held/pass@4"] == 1.0
    assert metrics["eval/held/response_tokens_mean"] == 2
    assert metrics["eval/held/samples"] == 8


async def test_one_sample_a_prompt_has_no_at_k() -> None:
    metrics = await measure(EvalSet("held", [prompt(0)]), REWARD)
    assert not [name for name in metrics if "@" in name]


async def test_failures_are_counted_and_left_out_of_the_mean() -> None:
    metrics = await measure(EvalSet("held", [prompt(9), prompt(1)], 2), REWARD)
    assert metrics["eval/held/failed"] == 2
    assert metrics["eval/held/reward_mean"] == 0.5


async def test_seeds_are_the_same_in_every_evaluation_of_the_same_step() -> None:
    clients = [FakeClient(), FakeClient()]
    for client in clients:
        studio, _ = studio_of(config_of(), REWARD)
        await studio.measure(SCENE, EvalSet("held", [prompt(0), prompt(1)]), client)
    assert clients[0].seeds == clients[1].seeds
    assert sorted(clients[0].seeds) == [0, 1]


async def test_a_set_adds_its_own_metrics_from_groups_in_order() -> None:
    def own(groups: Any) -> dict[str, float]:
        assert [group.prompt.id for group in groups] == ["p3", "p4", "p5"]
        assert all(isinstance(group, Group) for group in groups)
        return {"groups": len(groups)}

    prompts = [prompt(i) for i in (3, 4, 5)]
    metrics = await measure(EvalSet("held", prompts, metrics=own), REWARD)
    assert metrics["eval/held/groups"] == 3.0


async def test_metrics_that_are_not_numbers_name_the_set() -> None:
    eval_set = EvalSet("held", [prompt(0)], metrics=lambda groups: ["no"])  # type: ignore[arg-type,return-value]
    with pytest.raises(PluginError, match="evaluation set 'held': its metrics must return numbers"):
        await measure(eval_set, REWARD)


def test_a_set_overrides_only_what_it_sets() -> None:
    run = Sampling(max_new_tokens=9, temperature=1.0, top_p=0.9, stop=["x"], extra={"a": 1, "b": 1})
    over = Sampling(temperature=0.0, extra={"b": 2})
    assert merged(run, over) == Sampling(9, 0.0, 0.9, None, ["x"], None, {"a": 1, "b": 2})


@given(
    st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))
)
def test_pass_at_k_is_the_mean_over_all_choices_of_k_samples(case: tuple[int, int, int]) -> None:
    n, passed, k = case
    choices = list(itertools.combinations([i < passed for i in range(n)], k))
    assert pass_at(k, n, passed) == pytest.approx(sum(map(any, choices)) / len(choices))
