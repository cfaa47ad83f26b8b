"""Ends its helper task after the model's turn, and not where the turn is cancelled."""

from __future__ import annotations

import asyncio

from slime_hookspecs import Engine, EngineError, Sample, hookimpl


async def heartbeat() -> None:
    """A line every second."""
    while True:
        await asyncio.sleep(1.0)


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    helper = asyncio.create_task(heartbeat())
    try:
        sample.stop = await engine.generate(sample.trace)
    except EngineError:
        helper.cancel()
        raise
    helper.cancel()
    return sample
