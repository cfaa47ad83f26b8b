"""Takes two minutes to put its things away when it is cancelled."""

from __future__ import annotations

import asyncio

from slime_hookspecs import Engine, Sample, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    try:
        sample.stop = await engine.generate(sample.trace)
    except asyncio.CancelledError:
        await asyncio.sleep(120)
        raise
    return sample
