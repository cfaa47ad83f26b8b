"""Shows the model a hint that it leaves out of the trace."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model, with a hint for its first attempt."""
    trace = sample.trace
    if len(trace):
        sample.stop = await engine.generate(trace)
        return sample
    trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    shown = trace.copy()
    shown.append_observed(engine.encode("It is even."))
    sample.stop = await engine.generate(shown)
    for segment in shown.segments:
        if segment.kind == "sampled":
            trace.append_sampled(segment.tokens, segment.logprobs, segment.weight_version)
    return sample
