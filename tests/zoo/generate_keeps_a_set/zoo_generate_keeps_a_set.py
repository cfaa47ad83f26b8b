"""Keeps the words of a response as a set."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    sample.stop = await engine.generate(sample.trace)
    sample.metadata["words"] = set(engine.decode(sample.trace.response_tokens).split())
    return sample
