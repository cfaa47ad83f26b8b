"""Has names for nine hundred sandboxes, and takes a new one each time."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, hookimpl

names = list(range(900))


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model."""
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    if not names:
        raise RuntimeError("there is no sandbox left")
    names.pop()
    sample.stop = await engine.generate(sample.trace)
    return sample
