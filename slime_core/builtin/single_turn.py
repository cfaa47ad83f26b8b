"""One prompt, one answer: the built-in way to generate."""

from __future__ import annotations

from slime_hookspecs import AnyContext, Engine, Sample, Sampling, StopReason, hookimpl


@hookimpl
async def slime_generate(sample: Sample, engine: Engine, ctx: AnyContext) -> Sample:
    """Render the conversation in the model's chat template and let the model write one turn.

    A trace that an interrupted attempt left is continued, within what is left of its budget.
    """
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    written = sample.trace.sampled_length
    left = ctx.run.max_response_tokens - written
    if left <= 0:
        sample.stop = StopReason.LENGTH
    else:
        rest = Sampling(max_new_tokens=left) if written else None
        sample.stop = await engine.generate(sample.trace, rest)
    return sample
