"""Keeps the sample that it works on in the module."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, StopReason, hookimpl

current: dict[str, str] = {}


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """A turn of the model, and its own question put to it again."""
    trace = sample.trace
    current["question"] = sample.prompt.id
    if not len(trace):
        trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.stop = await engine.generate(trace)
    if sample.stop is StopReason.STOP:
        trace.append_observed(engine.encode(current["question"]))
    return sample
