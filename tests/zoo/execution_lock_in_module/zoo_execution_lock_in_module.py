"""Makes a semaphore in the module, which belongs to the first event loop that waits for it."""

from __future__ import annotations

import asyncio

from slime_hookspecs import Engine, Sample, hookimpl

slots = asyncio.Semaphore(4)


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model, four samples at a time."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    async with slots:
        sample.stop = await engine.generate(sample.trace)
    return sample
