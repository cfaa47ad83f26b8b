"""Says that it is multi-turn, and takes one."""

from __future__ import annotations

from slime_hookspecs import Conformance, Engine, Sample, StopReason, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """Turns of the model, as long as it asks for the time."""
    trace = sample.trace
    if not len(trace):
        trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    for _ in range(3):
        sample.stop = await engine.generate(trace)
        text = engine.decode(trace.response_tokens)
        if sample.stop is not StopReason.STOP or not text.endswith("TIME?"):
            return sample
        trace.append_observed(engine.encode("It is noon."))
    sample.stop = StopReason.TURNS
    return sample


@hookimpl
def slime_conformance() -> Conformance:
    """Whoever wrote this gave no replies that call the tool."""
    return Conformance(capabilities=frozenset({"multi_turn"}))
