"""Starts a watchdog for each reward, and lets it run on."""

from __future__ import annotations

import asyncio

from slime_hookspecs import NextReward, Reward, Sample, hookimpl

watchdogs: set[asyncio.Task[None]] = set()


async def watchdog() -> None:
    """Would say that a reward takes long."""
    await asyncio.sleep(30)


@hookimpl
async def slime_wrap_reward(call_next: NextReward, sample: Sample) -> float | Reward:
    """The reward, watched."""
    task = asyncio.create_task(watchdog())
    watchdogs.add(task)
    task.add_done_callback(watchdogs.discard)
    return await call_next(sample)
