"""Keeps what the model wrote as if a tool had."""

from __future__ import annotations

from slime_hookspecs import Engine, EngineError, Sample, StopReason, hookimpl

STOPS = {"stop": StopReason.STOP, "abort": StopReason.ABORTED}


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model, through SGLang's own API."""
    trace = sample.trace
    if not len(trace):
        trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    answer = await engine.post("/generate", {"input_ids": trace.tokens})
    if "output_ids" not in answer:
        raise EngineError(f"/generate answered {answer!r:.80}")
    trace.append_observed(answer["output_ids"])
    full = len(trace) >= engine.context_length
    end = StopReason.CONTEXT if full else StopReason.LENGTH
    sample.stop = STOPS.get(answer["meta_info"]["finish_reason"]["type"], end)
    return sample
