"""Appends the prompt as if a tool had written it."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    if not len(sample.trace):
        sample.trace.append_observed(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.stop = await engine.generate(sample.trace)
    return sample
