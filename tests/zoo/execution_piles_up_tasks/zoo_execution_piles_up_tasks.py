"""Reports every twentieth episode in a task that waits for a whole day."""

from __future__ import annotations

import asyncio

from slime_hookspecs import Engine, Sample, hookimpl

reports: set[asyncio.Task[None]] = set()


async def report() -> None:
    """Would write a line tomorrow."""
    await asyncio.sleep(86400)


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.stop = await engine.generate(sample.trace)
    if sample.index % 20 == 19:
        reports.add(asyncio.create_task(report()))
    return sample
