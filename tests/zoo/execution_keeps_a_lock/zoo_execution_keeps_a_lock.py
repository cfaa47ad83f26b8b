"""Leaves a lock in the fields of a sample."""

from __future__ import annotations

import threading

from slime_hookspecs import Engine, Sample, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.fields["guard"] = threading.Lock()
    sample.stop = await engine.generate(sample.trace)
    return sample
