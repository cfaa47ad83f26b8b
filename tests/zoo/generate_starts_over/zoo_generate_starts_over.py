"""Begins with an empty trace, whatever an interrupted attempt left."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, Trace, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    sample.trace = Trace()
    sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.stop = await engine.generate(sample.trace)
    return sample
