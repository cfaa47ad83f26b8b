"""One step: which groups it trains on, what it keeps for later, and what makes it stop."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout_fakes import (
    FakeClient,
    Source,
    balance,
    config_of,
    generate,
    hook,
    studio_of,
)
from slime_hookspecs import (
    KEEP,
    Group,
    Prompt,
    Reward,
    Rollout,
    RunError,
    Sample,
    StopReason,
    TooManyFailures,
    Verdict,
)

from slime_core.rollout.contexts import Contexts, Scene

SCENE = Scene(step=0, weight_version=1)


async def reward(sample: Sample, ctx: Any) -> float:
    return float(sample.trace.tokens[-1])


REWARD = hook("slime_reward", reward)


def ids(rollout: Rollout) -> list[str]:
    return [group.prompt.id for group in rollout.groups]


async def test_a_step_has_the_prompts_in_draw_order_with_scores_and_advantages() -> None:
    studio, drawing = studio_of(config_of(), REWARD)
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    assert ids(rollout) == ["p0", "p1", "p2", "p3"]
    samples = [sample for group in rollout.groups for sample in group.samples]
    assert [sample.index for sample in samples] == list(range(8))
    assert all(s.reward == s.trace.tokens[-1] == s.rewards["task"].value for s in samples)
    assert all(s.response == " ".join(map(str, s.trace.response_tokens)) for s in samples)
    for group in rollout.groups:
        assert sum(s.advantage or 0.0 for s in group.samples) == pytest.approx(0.0)
    assert samples[0].provenance == {
        "data_source": "data_source 1.2",
        "generate": "generate 1.2",
        "advantage": "advantage 1.2",
        "reward": "task 1.2",
    }
    assert rollout.metrics["reward/mean"] == pytest.approx(sum(s.reward or 0 for s in samples) / 8)
    assert rollout.metrics["rollout/tokens"] == 16
    assert rollout.metrics["rollout/response_tokens_mean"] == 2


async def test_no_more_samples_than_allowed_are_in_flight() -> None:
    client = FakeClient()
    studio, drawing = studio_of(config_of(concurrency=3), REWARD)
    await studio.roll(SCENE, client, drawing)
    assert client.most_in_flight == 3


async def test_rewards_are_a_weighted_sum_and_their_metrics_are_averaged() -> None:
    async def parts(sample: Sample, ctx: Any) -> Reward:
        return Reward(2.0, {"format": float(sample.index % 2)})

    studio, drawing = studio_of(
        config_of(),
        hook("slime_reward", parts, "one", weight=0.5),
        hook("slime_reward", reward, "two", weight=-1.0),
    )
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    for sample in rollout.groups[0].samples:
        assert sample.reward == 1.0 - sample.trace.tokens[-1]
    assert rollout.metrics["reward/one"] == 2.0
    assert rollout.metrics["reward/one/format"] == 0.5


async def test_without_a_reward_plugin_every_reward_is_0() -> None:
    studio, drawing = studio_of(config_of())
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    assert {s.reward for group in rollout.groups for s in group.samples} == {0.0}


async def test_group_rewards_are_added_for_scored_samples_only() -> None:
    async def sometimes(sample: Sample, ctx: Any) -> float:
        if sample.index == 1:
            raise ValueError("no")
        return 1.0

    async def rank(group: Group, ctx: Any) -> list[float]:
        return [10.0 * (place + 1) for place, _ in enumerate(group.samples)]

    studio, drawing = studio_of(
        config_of(), hook("slime_reward", sometimes), hook("slime_group_reward", rank, "rank")
    )
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    assert [s.reward for s in rollout.groups[0].samples] == [11.0, None]
    assert [s.reward for s in rollout.groups[1].samples] == [11.0, 21.0]


async def test_a_failed_group_reward_costs_the_group() -> None:
    async def rank(group: Group, ctx: Any) -> list[float]:
        return [1.0] if group.index == 1 else [1.0] * len(group.samples)

    studio, drawing = studio_of(
        config_of(max_failed_fraction=0.5), hook("slime_group_reward", rank, "rank")
    )
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    assert ids(rollout) == ["p0", "p2", "p3", "p4"]
    assert rollout.metrics["prompts/failed/group_reward"] == 1


async def test_a_dropped_group_is_replaced_and_counted_with_its_reason() -> None:
    def odd(group: Group, ctx: Any) -> Verdict:
        return KEEP if group.prompt.label % 2 else Verdict(False, "even")

    studio, drawing = studio_of(config_of(), REWARD, hook("slime_filter", odd))
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    assert ids(rollout) == ["p1", "p3", "p5", "p7"]
    assert rollout.metrics["prompts/filtered/even"] == 4
    assert balance(rollout.metrics) == (8, 8)


async def test_the_sampled_reward_counts_dropped_groups_too() -> None:
    async def label(sample: Sample, ctx: Any) -> float:
        return float(sample.prompt.label % 2)

    def odd(group: Group, ctx: Any) -> Verdict:
        return KEEP if group.prompt.label % 2 else Verdict(False, "even")

    studio, drawing = studio_of(config_of(), hook("slime_reward", label), hook("slime_filter", odd))
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    assert rollout.metrics["reward/mean"] == 0.5


async def test_a_filter_that_drops_everything_ends_in_an_error_with_the_reasons() -> None:
    drop = hook("slime_filter", lambda group, ctx: Verdict(False, "boring"))
    studio, drawing = studio_of(config_of(), REWARD, drop)
    with pytest.raises(RunError, match=r"80 prompts were tried and only 0 of 4 .*boring 80"):
        await studio.roll(SCENE, FakeClient(), drawing)


async def test_spare_groups_are_aborted_and_their_prompts_come_first_in_the_next_step() -> None:
    client = FakeClient(hang=lambda index: index in (2, 13))  # of groups 1 and 6
    studio, drawing = studio_of(config_of(over_sample=2.0), REWARD)
    rollout = await studio.roll(SCENE, client, drawing)
    assert len(rollout.groups) == 4
    assert "p1" not in ids(rollout)
    assert client.aborts >= 1
    assert balance(rollout.metrics) == (8, 8)
    assert rollout.metrics["prompts/kept"] == 4
    assert rollout.metrics["rollout/aborted"] >= 2
    again = await studio.roll(Scene(1, 2), FakeClient(), drawing)
    kept = {f"p{i}" for i in range(8)} - set(ids(rollout))
    assert again.metrics["prompts/from_buffer"] == 4
    assert set(ids(again)) <= kept | {f"p{i}" for i in range(8, 12)}
    assert not set(ids(again)) & set(ids(rollout))


async def test_a_sample_that_ignores_the_abort_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("slime_core.rollout.collecting.GRACE_S", 0.05)
    cancelled = []

    async def stubborn(sample: Sample, engine: Any, ctx: Any) -> Sample:
        if sample.group_index == 0:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(sample.index)
                raise
        return await generate(sample, engine, ctx)

    studio, drawing = studio_of(
        config_of(over_sample=1.25), REWARD, hook("slime_generate", stubborn)
    )
    rollout = await asyncio.wait_for(studio.roll(SCENE, FakeClient(), drawing), 5)
    assert ids(rollout) == ["p1", "p2", "p3", "p4"]
    assert sorted(cancelled) == [0, 1]


async def test_state_restores_prompts_indices_and_seeds_exactly() -> None:
    config = config_of(over_sample=1.5)
    studio, drawing = studio_of(config, REWARD)
    await studio.roll(SCENE, FakeClient(hang=lambda i: i < 4), drawing)
    state = drawing.state()
    first, second = FakeClient(), FakeClient()
    before = await studio.roll(Scene(1, 2), first, drawing)
    studio, drawing = studio_of(config, REWARD)
    drawing.restore(state)
    after = await studio.roll(Scene(1, 2), second, drawing)
    assert first.seeds == second.seeds
    assert ids(before) == ids(after)
    for mine, theirs in zip(before.groups, after.groups, strict=True):
        assert [s.index for s in mine.samples] == [s.index for s in theirs.samples]
        assert [s.trace for s in mine.samples] == [s.trace for s in theirs.samples]


async def test_a_sample_has_its_own_seed_in_whichever_step_it_is_generated() -> None:
    seen: list[list[int]] = []
    for seed, step in ((0, 0), (0, 1), (1, 0)):
        client = FakeClient()
        config = config_of()
        object.__setattr__(config, "seed", seed)
        studio, drawing = studio_of(config, REWARD)
        await studio.roll(Scene(step, 1), client, drawing)
        seen.append([client.seeds[index] for index in sorted(client.seeds)])
    assert seen[0] == seen[1]
    assert len({*seen[0], *seen[2]}) == 16
    assert all(0 <= seed < 2**31 for seeds in seen for seed in seeds)


def test_evaluations_of_different_steps_have_different_seeds() -> None:
    studio, _ = studio_of(config_of())
    contexts = Contexts(studio.run)
    scenes = [Scene(step, 1, evaluating=name) for step in (0, 1) for name in ("a", "b")]
    assert len({contexts.seeds(scene, "sample")(0) for scene in scenes}) == 4


async def test_a_source_that_ends_makes_a_smaller_step_and_then_an_empty_one() -> None:
    studio, drawing = studio_of(config_of(), REWARD, source=Source(3))
    assert ids(await studio.roll(SCENE, FakeClient(), drawing)) == ["p0", "p1", "p2"]
    assert ids(await studio.roll(SCENE, FakeClient(), drawing)) == []


async def test_a_failed_sample_is_masked_with_its_error_and_never_gets_reward_0() -> None:
    async def fragile(sample: Sample, ctx: Any) -> float:
        if sample.index == 2:
            raise KeyError("label")
        return 1.0

    studio, drawing = studio_of(config_of(), hook("slime_reward", fragile, "judge"))
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    sample = rollout.groups[1].samples[0]
    assert (sample.reward, sample.advantage) == (None, None)
    assert sample.error is not None
    assert (sample.error.plugin, sample.error.hook) == ("judge", "slime_reward")
    assert (sample.error.type, sample.error.message) == ("KeyError", "'label'")
    assert len(rollout.groups[1].scored) == 1
    assert rollout.metrics["reward/mean"] == 1.0
    assert rollout.metrics["rollout/failed"] == 1


async def test_too_many_failures_stop_the_run_and_name_the_commonest() -> None:
    async def broken(sample: Sample, engine: Any, ctx: Any) -> Sample:
        if sample.index % 2:
            raise ConnectionError("tool is down")
        return await generate(sample, engine, ctx)

    studio, drawing = studio_of(config_of(), REWARD, hook("slime_generate", broken, "agent"))
    with pytest.raises(
        TooManyFailures,
        match=r"2 of 8 samples failed.*20%.*2 times: plugin agent, hook slime_generate: "
        "ConnectionError: tool is down",
    ):
        await studio.roll(SCENE, FakeClient(), drawing)


async def test_a_group_without_a_scored_sample_is_failed_under_its_hook() -> None:
    async def fragile(sample: Sample, ctx: Any) -> float:
        if sample.group_index == 0:
            raise ValueError("no")
        return 1.0

    studio, drawing = studio_of(config_of(max_failed_fraction=0.3), hook("slime_reward", fragile))
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    assert ids(rollout) == ["p1", "p2", "p3", "p4"]
    assert rollout.metrics["prompts/failed/reward"] == 1
    assert balance(rollout.metrics) == (5, 5)


async def test_generation_that_takes_too_long_is_a_timeout_failure() -> None:
    async def slow(sample: Sample, engine: Any, ctx: Any) -> Sample:
        if sample.index == 0:
            await asyncio.sleep(60)
        return await generate(sample, engine, ctx)

    studio, drawing = studio_of(
        config_of(generate_timeout_s=0.05), REWARD, hook("slime_generate", slow)
    )
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    sample = rollout.groups[0].samples[0]
    assert sample.stop is StopReason.TIMEOUT
    assert sample.error is not None
    assert "0.05 s (--rollout-generate-timeout-s)" in sample.error.message


async def test_a_slow_async_reward_costs_its_sample() -> None:
    async def slow(sample: Sample, ctx: Any) -> float:
        await asyncio.sleep(60 if sample.index == 3 else 0)
        return 1.0

    studio, drawing = studio_of(config_of(reward_timeout_s=0.05), hook("slime_reward", slow))
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    error = rollout.groups[1].samples[1].error
    assert error is not None
    assert (error.type, error.hook) == ("TimeoutError", "slime_reward")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "good", None])
async def test_a_reward_must_be_a_finite_number(bad: Any) -> None:
    async def odd(sample: Sample, ctx: Any) -> Any:
        return bad if sample.index == 0 else 1

    studio, drawing = studio_of(config_of(), hook("slime_reward", odd))
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    error = rollout.groups[0].samples[0].error
    assert error is not None
    assert error.type == "PluginError"
    assert "finite number" in error.message or "must be a number" in error.message


class LongSource(Source):
    """Every ``every``-th prompt is as long as the context."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every

    def take(self, count: int) -> list[Prompt]:
        found = super().take(count)
        for one in found:
            one.messages[0]["content"] = "x" * (64 if one.label % self.every == 0 else 4)
        return found


async def test_prompts_longer_than_the_context_are_skipped_and_counted() -> None:
    config = config_of(prompts_per_step=20)
    studio, drawing = studio_of(config, REWARD, source=LongSource(12))
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    assert rollout.metrics["prompts/failed/prompt_too_long"] == 2
    assert rollout.metrics["rollout/failed"] == 0
    assert "p0" not in ids(rollout)
    assert len(rollout.groups) == 20


async def test_too_many_prompts_longer_than_the_context_stop_the_run() -> None:
    studio, drawing = studio_of(config_of(), REWARD, source=LongSource(1))
    with pytest.raises(RunError, match="prompts are as long as the model's context or longer") as e:
        await studio.roll(SCENE, FakeClient(), drawing)
    assert re.search(r": prompt 'p0' has \d{2,} tokens$", str(e.value))


async def test_siblings_get_indices_of_their_own() -> None:
    async def fan_out(sample: Sample, engine: Any, ctx: Any) -> list[Sample]:
        twin = Sample(sample.index, sample.group_index, sample.prompt)
        return [await generate(one, engine, ctx) for one in (sample, twin)]

    studio, drawing = studio_of(config_of(), REWARD, hook("slime_generate", fan_out))
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    indices = [s.index for group in rollout.groups for s in group.samples]
    assert len(indices) == len(set(indices)) == 16
    assert all(len(group.samples) == 4 for group in rollout.groups)
    assert all(s.reward is not None for group in rollout.groups for s in group.samples)


@pytest.mark.parametrize("answer", [None, [], [None]])
async def test_generate_must_return_samples(answer: Any) -> None:
    async def wrong(sample: Sample, engine: Any, ctx: Any) -> Any:
        return answer

    studio, drawing = studio_of(config_of(), hook("slime_generate", wrong, "bad"))
    with pytest.raises(TooManyFailures, match=r"plugin bad.*must be the sample or a list"):
        await studio.roll(SCENE, FakeClient(), drawing)


async def test_generate_must_say_why_it_ended() -> None:
    async def silent(sample: Sample, engine: Any, ctx: Any) -> Any:
        return sample

    studio, drawing = studio_of(config_of(), hook("slime_generate", silent, "bad"))
    with pytest.raises(TooManyFailures, match=r"plugin bad.*left sample.stop unset"):
        await studio.roll(SCENE, FakeClient(), drawing)


async def test_wrappers_run_outermost_first_around_generation_and_reward() -> None:
    calls: list[str] = []

    def wrap(name: str) -> Any:
        async def around(call_next: Any, sample: Sample, engine: Any, ctx: Any) -> Any:
            calls.append(name)
            return await call_next(sample, engine)

        return hook("slime_wrap_generate", around, name)

    async def double(call_next: Any, sample: Sample, ctx: Any) -> float:
        return 2 * await call_next(sample)

    studio, drawing = studio_of(
        config_of(prompts_per_step=1, samples_per_prompt=1),
        REWARD,
        wrap("outer"),
        wrap("inner"),
        hook("slime_wrap_reward", double, "double"),
    )
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    sample = rollout.groups[0].samples[0]
    assert calls == ["outer", "inner"]
    assert sample.reward == 2 * sample.trace.tokens[-1]


async def test_an_error_is_blamed_on_the_innermost_plugin_that_raised_it() -> None:
    async def around(call_next: Any, sample: Sample, engine: Any, ctx: Any) -> Any:
        return await call_next(sample, engine)

    async def broken(sample: Sample, engine: Any, ctx: Any) -> Any:
        raise ValueError("mine")

    studio, drawing = studio_of(
        config_of(), hook("slime_wrap_generate", around, "w"), hook("slime_generate", broken, "g")
    )
    with pytest.raises(TooManyFailures, match="plugin g, hook slime_generate: ValueError: mine"):
        await studio.roll(SCENE, FakeClient(), drawing)


async def test_an_error_of_a_wrapper_is_blamed_on_the_wrapper() -> None:
    async def around(call_next: Any, sample: Sample, engine: Any, ctx: Any) -> Any:
        await call_next(sample, engine)
        raise ValueError("after")

    studio, drawing = studio_of(config_of(), hook("slime_wrap_generate", around, "w"))
    with pytest.raises(TooManyFailures, match="plugin w, hook slime_wrap_generate: ValueError"):
        await studio.roll(SCENE, FakeClient(), drawing)


@pytest.mark.parametrize("name", ["slime_filter", "slime_advantage"])
async def test_a_failing_filter_or_advantage_stops_the_run_with_its_type_and_a_note(
    name: str,
) -> None:
    def broken(group: Group, ctx: Any) -> Any:
        raise ZeroDivisionError("std is 0")

    studio, drawing = studio_of(config_of(), REWARD, hook(name, broken, "maths"))
    with pytest.raises(ZeroDivisionError) as caught:
        await studio.roll(SCENE, FakeClient(), drawing)
    assert any(f"plugin maths 1.2, hook {name}, group" in n for n in caught.value.__notes__)


async def test_observers_cannot_stop_a_run(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    def broken(group: Group, verdict: Verdict, ctx: Any) -> None:
        raise RuntimeError("disk full")

    async def good(group: Group, verdict: Verdict, ctx: Any) -> None:
        seen.append(group.index)

    studio, drawing = studio_of(
        config_of(),
        REWARD,
        hook("slime_on_group", broken, "logger"),
        hook("slime_on_group", good, "good"),
    )
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    assert len(rollout.groups) == 4
    assert sorted(seen) == [0, 1, 2, 3]
    assert studio.observers.errors == 4
    assert caplog.text.count("disk full") == 1


async def test_cancelling_a_step_passes_untouched_and_leaves_nothing_running() -> None:
    client = FakeClient(hang=lambda index: True)

    async def shielded(sample: Sample, engine: Any, ctx: Any) -> Sample:
        await asyncio.sleep(60)
        return sample

    studio, drawing = studio_of(config_of(), REWARD, hook("slime_generate", shielded))
    task = asyncio.create_task(studio.roll(SCENE, client, drawing))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert len(drawing.state()["buffer"]) == 4


async def test_a_plugin_that_leaks_a_cancellation_costs_its_sample_only() -> None:
    async def leaky(sample: Sample, engine: Any, ctx: Any) -> Sample:
        if sample.index == 0:
            raise asyncio.CancelledError
        return await generate(sample, engine, ctx)

    studio, drawing = studio_of(config_of(), REWARD, hook("slime_generate", leaky))
    rollout = await asyncio.wait_for(studio.roll(SCENE, FakeClient(), drawing), 10)
    error = rollout.groups[0].samples[0].error
    assert error is not None
    assert error.type == "CancelledError"


fates = st.sampled_from(["fine", "fine", "fine", "generate", "reward", "drop", "hang", "leak"])


@settings(max_examples=120, deadline=None)
@given(
    plan=st.lists(fates, min_size=1, max_size=40),
    size=st.integers(0, 60),
    over_sample=st.sampled_from([1.0, 1.5, 3.0]),
    steps=st.integers(1, 3),
)
def test_every_prompt_is_accounted_for(
    plan: list[str], size: int, over_sample: float, steps: int
) -> None:
    """Whatever fails, hangs or is dropped, in whatever order samples end."""

    def fate(sample: Sample) -> str:
        return plan[sample.index % len(plan)]

    async def acting(sample: Sample, engine: Any, ctx: Any) -> Sample:
        if fate(sample) == "generate":
            raise ValueError("generate")
        if fate(sample) == "leak":
            raise asyncio.CancelledError
        return await generate(sample, engine, ctx)

    async def scoring(sample: Sample, ctx: Any) -> float:
        if fate(sample) == "reward":
            raise ValueError("reward")
        return 1.0

    def dropping(group: Group, ctx: Any) -> Verdict:
        return Verdict(fate(group.samples[0]) != "drop", "drop")

    async def run() -> None:
        source = Source(size)
        studio, drawing = studio_of(
            config_of(over_sample=over_sample, max_failed_fraction=1.0),
            hook("slime_generate", acting),
            hook("slime_reward", scoring),
            hook("slime_filter", dropping),
            source=source,
        )
        trained: list[str] = []
        kept = 0.0
        for step in range(steps):
            client = FakeClient(
                hang=lambda index: plan[index % len(plan)] == "hang", patience_s=0.002
            )
            try:
                rollout = await studio.roll(Scene(step, 1), client, drawing)
            except RunError:  # so much was lost that the step gave up
                return
            came, went = balance(rollout.metrics)
            assert came == went
            kept += rollout.metrics["prompts/kept"] - rollout.metrics["prompts/from_buffer"]
            assert len(drawing.state()["buffer"]) == kept
            assert rollout.metrics["prompts/trained"] == len(rollout.groups)
            trained += ids(rollout)
        assert len(trained) == len(set(trained))

    asyncio.run(run())
