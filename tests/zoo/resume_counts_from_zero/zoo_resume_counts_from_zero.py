"""Counts an episode's turns anew in a second attempt."""

from __future__ import annotations

from slime_hookspecs import Conformance, Engine, Sample, StopReason, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """Two turns of the model."""
    trace = sample.trace
    if not len(trace):
        trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    for turn in range(2):
        sample.stop = await engine.generate(trace)
        if sample.stop is not StopReason.STOP:
            return sample
        if turn == 0:
            trace.append_observed(engine.encode("Are you sure?"))
    return sample


@hookimpl
def slime_conformance() -> Conformance:
    """Two turns."""
    return Conformance(capabilities=frozenset({"multi_turn"}))
