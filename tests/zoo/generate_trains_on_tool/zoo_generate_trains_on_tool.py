"""Marks what its tool wrote as if the model had, with log-probs of zero."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, StopReason, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """A turn of the model, and the time of day."""
    trace = sample.trace
    if not len(trace):
        trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.stop = await engine.generate(trace)
    if sample.stop is StopReason.STOP:
        told = engine.encode("It is noon.")
        trace.append_sampled(told, [0.0] * len(told), engine.weight_version)
    return sample
