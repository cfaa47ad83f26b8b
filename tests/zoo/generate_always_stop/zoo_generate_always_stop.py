"""Says of a turn that was cut short that the model ended it."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, StopReason, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    stop = await engine.generate(sample.trace)
    sample.stop = StopReason.STOP if stop is StopReason.LENGTH else stop
    return sample
