"""Takes a cancellation for the end of an answer."""

from __future__ import annotations

import asyncio

from slime_hookspecs import Engine, Sample, StopReason, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    try:
        sample.stop = await engine.generate(sample.trace)
    except asyncio.CancelledError:
        sample.stop = StopReason.ABORTED
    return sample
