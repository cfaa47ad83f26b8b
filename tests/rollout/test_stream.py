"""Generation without a pause: how far it runs ahead, what is too old, and that nothing is lost."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout_fakes import Source, balance, config_of, hook, studio_of
from slime_hookspecs import Group, Rollout, RunError, Sample, TooManyFailures, Verdict
from writer_fakes import PROMPT, Writer, token, write

from slime_core.config.schema import Config
from slime_core.plugins import BoundHook
from slime_core.rollout.contexts import Scene
from slime_core.rollout.drawing import Drawing
from slime_core.rollout.stream import Stream
from slime_core.rollout.studio import Studio

TARGET = 4
WRITE = hook("slime_generate", write)


async def one(sample: Sample, ctx: Any) -> float:
    return 1.0


REWARD = hook("slime_reward", one)


def config(**settings: Any) -> Config:
    return config_of(schedule="async", prompts_per_step=TARGET, **settings)


@dataclass
class Run:
    """A trainer that works for some turns of the loop a step, and a stream beside it."""

    config: Config
    hooks: tuple[BoundHook, ...]
    writer: Writer
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        self.studio: Studio
        self.drawing: Drawing
        self.stream: Stream
        self.studio, self.drawing = studio_of(self.config, *self.hooks, source=self.source)
        self.stream = self.studio.stream(0, self.writer, self.drawing, {})

    async def step(self, step: int, work: int = 10) -> Rollout:
        rollout = await self.studio.take(Scene(step, step + 1), self.stream)
        for _ in range(work):
            await asyncio.sleep(0)
        self.writer.weight_version = step + 2
        return rollout

    async def checkpoint(self) -> dict[str, Any]:
        carried = await self.stream.pause(0.005)
        state: dict[str, Any] = json.loads(json.dumps({"carried": carried, **self.drawing.state()}))
        return state

    async def resume(self, state: dict[str, Any], step: int) -> None:
        """Everything anew, as in another process."""
        self.studio, self.drawing = studio_of(
            self.config, *self.hooks, source=Source(self.source.size)
        )
        self.drawing.restore(state)
        self.stream = self.studio.stream(step, self.writer, self.drawing, state["carried"])


def run_of(*hooks: BoundHook, length: Callable[[int], int] = lambda i: 5, **settings: Any) -> Run:
    return Run(config(**settings), hooks or (WRITE, REWARD), Writer(length))


def ages(rollout: Rollout) -> set[int]:
    versions = {v for g in rollout.groups for s in g.scored for v in s.trace.weight_versions}
    return {rollout.step + 1 - v for v in versions if v != -1}


async def test_generation_goes_on_while_the_trainer_works() -> None:
    run = run_of(length=lambda index: 5 + index % 7)
    first = await run.step(0, work=100)
    written = run.writer.written
    second = await run.step(1, work=0)
    assert run.writer.written == written, "all that step 1 needs was there already"
    assert len({g.index for g in (*first.groups, *second.groups)}) == 8
    assert ages(second) == {1}
    assert second.metrics["staleness/mean"] == 1
    await run.stream.pause(0.0)


@pytest.mark.parametrize("bound", [1, 3])
async def test_no_more_groups_are_started_than_the_bound_leaves_room_for(bound: int) -> None:
    run = run_of(max_staleness=bound)
    for step in range(4):
        rollout = await run.step(step, work=200)
        assert rollout.metrics["prompts/kept"] <= bound * TARGET
        issued = (step + 1) * TARGET + bound * TARGET
        assert run.source.taken == issued
        assert max(ages(rollout)) <= bound
    await run.stream.pause(0.0)


async def test_a_request_goes_on_through_updates_and_its_tokens_keep_their_versions() -> None:
    run = run_of(length=lambda index: 40 if index < 2 else 5, max_staleness=3)
    rollouts = [await run.step(step, work=15) for step in range(4)]
    (slow,) = (g for r in rollouts for g in r.groups if g.index == 0)
    for sample in slow.samples:
        versions = [v for v in sample.trace.weight_versions if v != -1]
        assert versions == sorted(versions)
        assert len(set(versions)) > 1
        seed = run.writer.seeds[sample.index]
        assert sample.trace.response_tokens == [token(seed, 4 + n) for n in range(40)]
    assert run.writer.finished[0] == 1
    await run.stream.pause(0.0)


async def test_a_group_that_others_overtook_is_dropped_as_stale_while_it_is_under_way() -> None:
    run = run_of(length=lambda index: 10_000 if index == 0 else 5)
    rollouts = [await run.step(step) for step in range(6)]
    stale = [r.metrics.get("prompts/filtered/stale", 0) for r in rollouts]
    assert stale == [0, 0, 1, 0, 0, 0]
    assert run.writer.written < 2_000, "nobody goes on with it"
    assert all(max(ages(r)) <= 1 for r in rollouts)
    assert all(balance(r.metrics)[0] == balance(r.metrics)[1] for r in rollouts)
    await run.stream.pause(0.0)


async def test_what_is_dropped_makes_room_for_others_to_generate() -> None:
    run = run_of(length=lambda index: 10_000 if index in (0, 2, 80) else 5, concurrency=3)

    async def steps() -> list[Rollout]:
        return [await run.step(step) for step in range(15)]

    rollouts = await asyncio.wait_for(steps(), 20)
    assert sum(r.metrics.get("prompts/filtered/stale", 0) for r in rollouts) == 3
    await run.stream.pause(0.0)


async def test_a_task_that_is_cancelled_from_elsewhere_ends_the_step() -> None:
    tasks: list[Any] = []

    async def acting(sample: Sample, engine: Any, ctx: Any) -> Sample:
        tasks.append(asyncio.current_task())
        if sample.index == 3:
            tasks[0].cancel()
        return await write(sample, engine, ctx)

    run = run_of(hook("slime_generate", acting), REWARD)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(run.step(0), 10)
    await run.stream.pause(0.0)


async def test_a_group_that_grew_old_after_it_was_done_is_dropped_too() -> None:
    gate = asyncio.Event()

    async def late(sample: Sample, ctx: Any) -> float:
        if sample.group_index == 0:
            await gate.wait()
        return 1.0

    run = run_of(WRITE, hook("slime_reward", late))
    await run.step(0)
    await run.step(1)
    gate.set()
    third = await run.step(2)
    assert third.metrics["prompts/filtered/stale"] == 1
    assert 0 not in [g.index for g in third.groups]
    await run.stream.pause(0.0)


async def test_what_is_under_way_goes_through_a_checkpoint_and_is_not_done_again() -> None:
    run = run_of(length=lambda index: 30 if index in (2, 9) else 5, max_staleness=2)
    first = await run.step(0, work=12)
    state = await run.checkpoint()
    assert [row["group"] for row in state["buffer"]] == sorted(
        {row["group"] for row in state["buffer"]}
    )
    assert any(row["outcome"] for row in state["buffer"]), "done, but not taken yet"
    assert not all(row["outcome"] for row in state["buffer"]), "under way"
    finished = dict(run.writer.finished)
    await run.resume(state, 1)
    second = await run.step(1)
    groups = [g.index for g in (*first.groups, *second.groups)]
    assert len(set(groups)) == 8
    assert all(run.writer.finished[index] == count for index, count in finished.items())
    came, went = balance(second.metrics)
    assert came == went
    await run.stream.pause(0.0)


async def test_after_a_checkpoint_the_same_process_goes_on() -> None:
    run = run_of(length=lambda index: 3 + index % 9)
    done = [g.index for g in (await run.step(0)).groups]
    for step in range(1, 4):
        await run.checkpoint()
        rollout = await run.step(step)
        assert balance(rollout.metrics)[0] == balance(rollout.metrics)[1]
        done += [g.index for g in rollout.groups]
    assert len(set(done)) == len(done) == 16
    await run.stream.pause(0.0)


async def test_what_a_checkpoint_put_back_is_trained_on_also_where_the_data_has_ended() -> None:
    run = run_of()
    run.source.size = 6
    await run.step(0)
    await run.checkpoint()
    assert [g.index for g in (await run.step(1)).groups] == [4, 5]
    await run.stream.pause(0.0)


async def test_the_end_of_the_data_makes_a_smaller_step_and_then_an_empty_one() -> None:
    run = run_of()
    run.source.size = 6
    sizes = [len((await run.step(step)).groups) for step in range(3)]
    assert sizes == [4, 2, 0]
    await run.stream.pause(0.0)


async def test_what_stops_a_run_stops_it_also_between_steps() -> None:
    async def failing(sample: Sample, ctx: Any) -> float:
        if sample.index >= 40:
            raise ValueError("down")
        return 1.0

    run = run_of(WRITE, hook("slime_reward", failing))
    await run.step(0)

    async def later() -> None:
        for step in range(1, 10):
            await run.step(step, work=100)

    with pytest.raises(TooManyFailures, match="down"):
        await later()
    await run.stream.pause(0.0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_filter_that_drops_everything_ends_in_an_error() -> None:
    def no(group: Group, ctx: Any) -> Verdict:
        return Verdict(False, "dull")

    run = run_of(WRITE, REWARD, hook("slime_filter", no))
    with pytest.raises(RunError, match="filtered/dull 80"):
        await asyncio.wait_for(run.step(0), 10)
    await run.stream.pause(0.0)


fates = st.sampled_from(["fine", "fine", "fine", "generate", "reward", "drop", "slow", "stubborn"])


@settings(max_examples=120, deadline=None)
@given(
    plan=st.lists(fates, min_size=1, max_size=25),
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=15),
    work=st.lists(st.integers(0, 60), min_size=5, max_size=5),
    pauses=st.lists(st.sampled_from(["no", "pause", "resume"]), min_size=5, max_size=5),
    bound=st.integers(1, 3),
    concurrency=st.sampled_from([3, 256]),
    size=st.sampled_from([7, 25, 10**6]),
)
def test_under_random_updates_and_checkpoints_the_sums_hold_and_nothing_is_too_old(
    plan: list[str],
    lengths: list[int],
    work: list[int],
    pauses: list[str],
    bound: int,
    concurrency: int,
    size: int,
) -> None:
    def fate(index: int) -> str:
        return plan[index % len(plan)]

    async def acting(sample: Sample, engine: Any, ctx: Any) -> Sample:
        if fate(sample.index) == "generate":
            raise ValueError("generate")
        return await write(sample, engine, ctx)

    async def scoring(sample: Sample, ctx: Any) -> float:
        if fate(sample.index) == "slow":
            for _ in range(20):
                await asyncio.sleep(0)
        if fate(sample.index) == "reward":
            raise ValueError("reward")
        return 1.0

    def dropping(group: Group, ctx: Any) -> Verdict:
        return Verdict(fate(group.samples[0].index) != "drop", "drop")

    hooks = (
        hook("slime_generate", acting),
        hook("slime_reward", scoring),
        hook("slime_filter", dropping),
    )

    async def go() -> None:
        run = Run(
            config(max_failed_fraction=1.0, max_staleness=bound, concurrency=concurrency),
            hooks,
            Writer(lambda i: lengths[i % len(lengths)], lambda i: fate(i) == "stubborn"),
            Source(size),
        )
        sums: Counter[str] = Counter()
        trained: list[int] = []
        try:
            for step, (turns, pause) in enumerate(zip(work, pauses, strict=True)):
                try:
                    rollout = await run.step(step, turns)
                except RunError:  # so much was lost that the step gave up
                    return
                check(run, rollout, sums, trained)
                if pause != "no":
                    state = await run.checkpoint()
                    check_state(state, sums, trained)
                    if pause == "resume":
                        await run.resume(state, step + 1)
        finally:
            await run.stream.pause(0.0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def check(run: Run, rollout: Rollout, sums: Counter[str], trained: list[int]) -> None:
        came, went = balance(rollout.metrics)
        assert came == went
        assert rollout.metrics["prompts/kept"] >= 0
        sums.update({k: int(v) for k, v in rollout.metrics.items() if k.startswith("prompts/")})
        assert max(ages(rollout), default=0) <= bound
        order = [group.index for group in rollout.groups]
        assert order == sorted(order)
        trained += order
        assert len(set(trained)) == len(trained)
        for group in rollout.groups:
            for sample in group.scored:
                seed = run.writer.seeds[sample.index]
                length = lengths[sample.index % len(lengths)]
                assert sample.trace.tokens == PROMPT + [token(seed, 4 + n) for n in range(length)]
        assert all(count == 1 for count in run.writer.finished.values())

    def check_state(state: dict[str, Any], sums: Counter[str], trained: list[int]) -> None:
        buffered = [row["group"] for row in state["buffer"]]
        assert not {*buffered} & {*trained}
        total = sums + Counter({f"prompts/{k}": n for k, n in state["carried"].items()})
        lost = sum(n for k, n in total.items() if "/filtered/" in k or "/failed/" in k)
        assert total["prompts/drawn"] == len(trained) + lost + len(buffered)

    asyncio.run(go())
