"""Samples that are stopped anywhere, by chance: nothing is lost, done twice, or different."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout_fakes import Source, balance, hook, studio_of
from slime_hookspecs import (
    Group,
    RunError,
    Sample,
    StopReason,
    Verdict,
)
from writer_fakes import (
    PROMPT,
    REWARD,
    Writer,
    expected,
    partial,
    samples_of,
    saved,
    token,
    write,
)

from slime_core.rollout.contexts import Scene


async def episode(sample: Sample, engine: Any, ctx: Any) -> Sample:
    """Turns of four tokens, after each of which a tool says 50."""
    trace = sample.trace
    if not len(trace):
        trace.append_prompt(PROMPT)
    while True:
        sample.stop = await engine.generate(trace)
        if sample.stop is StopReason.ABORTED:
            return sample
        if trace.sampled_length >= engine.client.length(sample.index):
            engine.client.finished[sample.index] += 1
            return sample
        trace.append_observed([50])
        await asyncio.sleep(0)


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12), spare=st.floats(1.25, 4.0))
def test_episodes_of_many_turns_that_are_stopped_anywhere_end_as_if_they_had_not_been(
    lengths: list[int], spare: float
) -> None:
    def length(index: int) -> int:
        return lengths[index % len(lengths)]

    def whole(seed: int, index: int) -> list[int]:
        tokens, sampled = list(PROMPT), 0
        while True:
            for _ in range(min(4, length(index) - sampled)):
                tokens.append(token(seed, len(tokens)))
                sampled += 1
            if sampled >= length(index):
                return tokens
            tokens.append(50)

    async def run() -> None:
        studio, drawing = studio_of(
            partial(over_sample=spare), hook("slime_generate", episode), REWARD
        )
        finished: Counter[int] = Counter()
        for step in range(5):
            writer = Writer(length, weight_version=step + 1, turn=4)
            rollout = await studio.roll(Scene(step, step + 1), writer, drawing)
            finished += writer.finished
            for sample in samples_of(rollout):
                seed = studio.contexts.seeds(Scene(step, 1), "sample")(sample.index)
                assert sample.trace.tokens == whole(seed, sample.index)
                kinds = {s.kind for s in sample.trace.segments}
                assert ("observed" in kinds) == (length(sample.index) > 4)
        assert set(finished.values()) == {1}

    asyncio.run(run())


fates = st.sampled_from(
    ["fine", "fine", "fine", "generate", "reward", "drop", "leak", "stubborn", "slow"]
)


@settings(max_examples=150, deadline=None)
@given(
    plan=st.lists(fates, min_size=1, max_size=30),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=20),
    size=st.integers(0, 60),
    over_sample=st.lists(st.sampled_from([1.0, 1.5, 3.0]), min_size=4, max_size=4),
    concurrency=st.sampled_from([2, 5, 256]),
    abort_turns=st.sampled_from([0, 3, 100]),
    resumes=st.lists(st.booleans(), min_size=4, max_size=4),
    mask=st.booleans(),
)
def test_whatever_is_stopped_wherever_nothing_is_lost_doubled_or_changed(
    plan: list[str],
    lengths: list[int],
    size: int,
    over_sample: list[float],
    concurrency: int,
    abort_turns: int,
    resumes: list[bool],
    mask: bool,
) -> None:
    """Over steps, resumes in between, failures, and samples that end in whatever order."""

    def fate(index: int) -> str:
        return plan[index % len(plan)]

    def length(index: int) -> int:
        return lengths[index % len(lengths)]

    async def acting(sample: Sample, engine: Any, ctx: Any) -> Sample:
        if fate(sample.index) == "generate":
            raise ValueError("generate")
        if fate(sample.index) == "leak":
            raise asyncio.CancelledError
        return await write(sample, engine, ctx)

    async def scoring(sample: Sample, ctx: Any) -> float:
        if fate(sample.index) == "slow":
            for _ in range(20):
                await asyncio.sleep(0)
        if fate(sample.index) == "reward":
            raise ValueError("reward")
        return 1.0

    async def bonus(group: Group, ctx: Any) -> list[float]:
        await asyncio.sleep(0)
        return [0.5] * len(group.samples)

    def dropping(group: Group, ctx: Any) -> Verdict:
        return Verdict(fate(group.samples[0].index) != "drop", "drop")

    hooks = (
        hook("slime_generate", acting),
        hook("slime_reward", scoring),
        hook("slime_group_reward", bonus, "bonus"),
        hook("slime_filter", dropping),
    )
    configs = [
        partial(
            over_sample=spare,
            max_failed_fraction=1.0,
            concurrency=concurrency,
            mask_stale_tokens=mask,
        )
        for spare in over_sample
    ]

    async def run() -> None:
        _, drawing = studio_of(configs[0], *hooks, source=Source(size))
        sums: Counter[str] = Counter()
        trained: list[int] = []
        finished: Counter[int] = Counter()
        seeds: dict[int, int] = {}
        for step, (config, resume) in enumerate(zip(configs, resumes, strict=True)):
            studio, _ = studio_of(config, *hooks)
            writer = Writer(
                length,
                lambda i: fate(i) == "stubborn",
                weight_version=step + 1,
                abort_turns=abort_turns,
            )
            try:
                rollout = await studio.roll(Scene(step, step + 1), writer, drawing)
            except RunError:  # so much was lost that the step gave up
                return
            came, went = balance(rollout.metrics)
            assert came == went
            sums.update({k: int(v) for k, v in rollout.metrics.items() if "prompts/" in k})
            state = saved(drawing)
            gone = sum(n for k, n in sums.items() if "/filtered/" in k or "/failed/" in k)
            issued = sums["prompts/drawn"]
            assert issued == sums["prompts/trained"] + gone + len(state["buffer"])
            order = [row["group"] for row in state["buffer"]]
            assert order == sorted(order)
            trained += [group.index for group in rollout.groups]
            assert set(order).isdisjoint(trained)
            assert rollout.metrics["rollout/tokens"] <= writer.written
            finished += writer.finished
            for index, seed in writer.seeds.items():
                assert seeds.setdefault(index, seed) == seed
            for group in rollout.groups:
                for sample in group.scored:
                    assert sample.trace.tokens == expected(writer_of(seeds), sample)
                    assert sample.reward == 1.5
                    versions = [v for v in sample.trace.weight_versions if v != -1]
                    assert versions == sorted(versions)
            if resume:
                _, drawing = studio_of(config, *hooks, source=Source(size))
                drawing.restore(state)
                assert saved(drawing) == state
        assert len(trained) == len(set(trained))
        assert all(count == 1 for count in finished.values())

    def writer_of(seeds: dict[int, int]) -> Writer:
        return Writer(length, seeds=seeds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slime_core.rollout.collecting.GRACE_S", 0.005)
        asyncio.run(run())
