"""Starts a task that counts from a run's first sample on, and never ends it."""

from __future__ import annotations

import asyncio

from slime_hookspecs import Engine, Sample, hookimpl

running: set[asyncio.Task[None]] = set()


async def heartbeat() -> None:
    """A line every second."""
    while True:
        await asyncio.sleep(1.0)


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.stop = await engine.generate(sample.trace)
    if sample.index == 0:
        task = asyncio.create_task(heartbeat())
        running.add(task)
        task.add_done_callback(running.discard)
    return sample
