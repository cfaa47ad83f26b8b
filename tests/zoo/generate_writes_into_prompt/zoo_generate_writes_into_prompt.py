"""Adds the model's turn to the messages that all samples of the group share."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    messages = sample.prompt.messages
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(messages, sample.prompt.tools))
    sample.stop = await engine.generate(sample.trace)
    text = engine.decode(sample.trace.response_tokens)
    messages.append({"role": "assistant", "content": text})
    return sample
