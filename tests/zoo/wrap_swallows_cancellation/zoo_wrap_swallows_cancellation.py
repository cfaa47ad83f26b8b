"""Gives a sample back that was cancelled."""

from __future__ import annotations

import asyncio

from slime_hookspecs import Engine, NextGenerate, Sample, StopReason, hookimpl


@hookimpl
async def slime_wrap_generate(
    call_next: NextGenerate, sample: Sample, engine: Engine
) -> Sample | list[Sample]:
    """Keeps what there is."""
    try:
        return await call_next(sample, engine)
    except asyncio.CancelledError:
        sample.stop = StopReason.TIMEOUT
        return sample
