"""Waits for a slot, and gives it back only where all goes well."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from slime_hookspecs import Engine, Sample, hookimpl

slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model, one sample at a time."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    slot = slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(1))
    await slot.acquire()
    sample.stop = await engine.generate(sample.trace)
    slot.release()
    return sample
