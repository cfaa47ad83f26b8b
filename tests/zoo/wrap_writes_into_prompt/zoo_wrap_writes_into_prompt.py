"""Adds a system message to the prompt that all samples of the group share."""

from __future__ import annotations

from slime_hookspecs import Engine, NextGenerate, Sample, hookimpl


@hookimpl
async def slime_wrap_generate(
    call_next: NextGenerate, sample: Sample, engine: Engine
) -> Sample | list[Sample]:
    """Asks for short answers."""
    if not len(sample.trace):
        sample.prompt.messages.insert(0, {"role": "system", "content": "Be brief."})
    return await call_next(sample, engine)
