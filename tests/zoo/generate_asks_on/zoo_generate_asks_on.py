"""Asks until it has read an answer, whether or not the model has room for one."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, StopReason, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """Turns of the model until one of them names a number."""
    trace = sample.trace
    if not len(trace):
        trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    while not any(map(str.isdigit, engine.decode(trace.response_tokens))):
        sample.stop = await engine.generate(trace)
        if sample.stop in (StopReason.ABORTED, StopReason.LENGTH):
            break
    return sample
