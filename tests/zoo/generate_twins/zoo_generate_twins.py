"""Returns two samples that share a trace."""

from __future__ import annotations

import dataclasses

from slime_hookspecs import Conformance, Engine, Sample, StopReason, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> list[Sample]:
    """One turn of the model, twice."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.stop = await engine.generate(sample.trace)
    if sample.stop is StopReason.ABORTED:
        return [sample]
    return [sample, dataclasses.replace(sample)]


@hookimpl
def slime_conformance() -> Conformance:
    """One episode, many samples."""
    return Conformance(capabilities=frozenset({"fan_out"}))
