"""Asks again at once where the core aborted it, and so never gives its prompt back."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, StopReason, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.stop = await engine.generate(sample.trace)
    while sample.stop is StopReason.ABORTED:
        sample.stop = await engine.generate(sample.trace)
    return sample
