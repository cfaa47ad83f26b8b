"""Generates again where the engine failed."""

from __future__ import annotations

from slime_hookspecs import Engine, EngineError, NextGenerate, Sample, hookimpl


@hookimpl
async def slime_wrap_generate(
    call_next: NextGenerate, sample: Sample, engine: Engine
) -> Sample | list[Sample]:
    """Twice, if need be."""
    try:
        return await call_next(sample, engine)
    except EngineError:
        return await call_next(sample, engine)
