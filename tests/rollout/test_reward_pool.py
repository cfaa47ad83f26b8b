"""Plain-function rewards run in processes that may hang or die without harm to the others."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pool_task
import pytest
from rollout_fakes import FakeClient, Source, config_of, hook, studio_of
from slime_hookspecs import Group, PluginError, Prompt, RunInfo, Sample

from slime_core.rollout.contexts import Contexts, Scene
from slime_core.rollout.reward_pool import RewardError, RewardPool
from slime_core.rollout.reward_process import Loader

HOOK = hook("slime_reward", pool_task.reward)
GROUP_HOOK = hook("slime_group_reward", pool_task.group_reward)
CONTEXT = Contexts(RunInfo("t", Path(), Path(), 0, 1, 1, 1, 1)).maker(HOOK, Scene(3, 1), "sample")(
    5
)


@asynccontextmanager
async def pool_of(
    workers: int = 1, timeout_s: float = 20.0, load: Loader = pool_task.load
) -> AsyncIterator[RewardPool]:
    pool = RewardPool(load, workers=workers, timeout_s=timeout_s)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


def sample(label: Any) -> Sample:
    return Sample(0, 0, Prompt("p", [], label=label))


def run(pool: RewardPool, label: Any) -> Any:
    return pool.run(HOOK, sample(label), CONTEXT)


async def value(pool: RewardPool, label: Any) -> float:
    return float((await run(pool, label)).value)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_rewards_are_computed_in_another_process_with_the_sample_context() -> None:
    async with pool_of() as pool:
        assert await value(pool, "pid") != os.getpid()
        reward = await run(pool, "seed")
        assert reward.value == CONTEXT.seed
        assert reward.metrics == {"step": 3.0}
        values = await pool.run(GROUP_HOOK, Group(0, sample(0).prompt, [sample(0)] * 3), CONTEXT)
        assert [one.value for one in values] == [3.0] * 3


async def test_an_exception_keeps_its_type_and_text() -> None:
    async with pool_of() as pool:
        with pytest.raises(RewardError, match="no such answer") as caught:
            await run(pool, "raise")
        assert caught.value.kind == "LookupError"
        with pytest.raises(RewardError, match="must be a number or a Reward"):
            await run(pool, "text")


@pytest.mark.parametrize(
    ("label", "kind", "text"),
    [
        ("hang", "TimeoutError", "took longer than 1 s"),
        ("stuck", "TimeoutError", "took longer than 1 s"),
        ("die", "WorkerDied", "its process ended with status 7"),
        ("segfault", "WorkerDied", "its process ended with status -11"),
        ("memory", "WorkerDied", "its process ended with status -9"),
    ],
)
async def test_a_hung_or_dead_worker_costs_one_sample_and_is_replaced(
    label: str, kind: str, text: str
) -> None:
    async with pool_of(timeout_s=1.0) as pool:
        before = int(await value(pool, "pid"))
        jobs = [asyncio.create_task(run(pool, what)) for what in (0, label, 0, "pid")]
        first, bad, good, after = await asyncio.gather(*jobs, return_exceptions=True)
        assert isinstance(bad, RewardError)
        assert (bad.kind, str(bad)) == (kind, text)
        assert first.value == good.value == 1.0
        assert int(after.value) != before
        assert not is_alive(before)


async def test_a_reward_that_calls_exit_fails_as_any_other_and_its_worker_lives_on() -> None:
    async with pool_of() as pool:
        before = await value(pool, "pid")
        with pytest.raises(RewardError) as caught:
            await run(pool, "exit")
        assert (caught.value.kind, str(caught.value)) == ("SystemExit", "3 (at pool_task.py:30)")
        assert await value(pool, "pid") == before


async def test_a_pool_outlives_many_deaths() -> None:
    labels = ["segfault", 0, "hang", 0, "die", 0, "memory", 0, "die", 0]
    async with pool_of(workers=2, timeout_s=1.0) as pool:
        found = await asyncio.gather(*(run(pool, one) for one in labels), return_exceptions=True)
        assert [isinstance(one, RewardError) for one in found] == [True, False] * 5
        assert await value(pool, 0) == 1.0


async def test_first_calls_of_a_worker_are_checked_and_later_ones_are_not() -> None:
    async with pool_of(load=pool_task.load_checked) as pool:
        with pytest.raises(RewardError, match="slime_reward, sample 0 of prompt 'p': it changed m"):
            await run(pool, "change")
        for _ in range(2):
            assert await value(pool, 0) == 1.0
        assert await value(pool, "change") == 1.0


async def test_the_timeout_does_not_count_the_time_in_the_queue() -> None:
    async with pool_of(timeout_s=1.0) as pool:
        started = time.monotonic()
        values = await asyncio.gather(*(value(pool, 0.4) for _ in range(5)))
        assert values == [1.0] * 5
        assert time.monotonic() - started > 1.9


async def test_many_jobs_are_shared_by_the_workers() -> None:
    async with pool_of(workers=2) as pool:
        pids = await asyncio.gather(*(value(pool, "pid") for _ in range(60)))
        assert len(set(pids)) == 2


async def test_a_waiter_that_is_cancelled_harms_nobody() -> None:
    async with pool_of() as pool:
        waiting = asyncio.create_task(run(pool, 0.3))
        await asyncio.sleep(0.05)
        waiting.cancel()
        assert await value(pool, 0) == 1.0


async def test_close_ends_all_workers() -> None:
    async with pool_of(workers=2) as pool:
        pids = {int(await value(pool, "pid")) for _ in range(4)}
    assert not any(is_alive(pid) for pid in pids)


async def test_a_plugin_that_does_not_load_is_an_error_at_the_start() -> None:
    pool = RewardPool(pool_task.load_nothing, workers=1, timeout_s=1.0)
    with pytest.raises(PluginError, match="ImportError: no module named sympy"):
        await pool.start()


async def test_a_sample_that_cannot_be_pickled_fails_alone() -> None:
    async with pool_of() as pool:
        with pytest.raises(Exception, match="pickle"):
            await run(pool, lambda: None)
        assert await value(pool, 0) == 1.0


class Labelled(Source):
    def take(self, count: int) -> list[Prompt]:
        found = super().take(count)
        return [Prompt(p.id, p.messages, label="die" if p.label == 1 else 0) for p in found]


async def test_a_step_loses_only_the_samples_whose_reward_killed_its_worker() -> None:
    async with pool_of(workers=2) as pool:
        config = config_of(max_failed_fraction=0.5)
        studio, drawing = studio_of(config, HOOK, source=Labelled(), pool=pool)
        rollout = await studio.roll(Scene(0, 1), FakeClient(), drawing)
    assert [group.prompt.id for group in rollout.groups] == ["p0", "p2", "p3", "p4"]
    assert rollout.metrics["prompts/failed/reward"] == 1
    assert rollout.metrics["rollout/failed"] == 2
