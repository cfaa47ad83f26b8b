"""Throws away why the engine ended."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, StopReason, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    stop = await engine.generate(sample.trace)
    if stop in (StopReason.ABORTED, StopReason.CONTEXT):
        sample.stop = stop
    return sample
