"""Raises an error of its own for every other."""

from __future__ import annotations

from slime_hookspecs import Engine, NextGenerate, Sample, hookimpl


@hookimpl
async def slime_wrap_generate(
    call_next: NextGenerate, sample: Sample, engine: Engine
) -> Sample | list[Sample]:
    """Says which sample failed."""
    try:
        return await call_next(sample, engine)
    except Exception as error:
        raise RuntimeError(f"sample {sample.index} failed: {error}") from error
