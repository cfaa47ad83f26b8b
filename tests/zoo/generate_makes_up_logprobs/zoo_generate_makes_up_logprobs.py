"""Does not ask for log-probs, and keeps zeros."""

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
    tokens, meta = answer["output_ids"], answer["meta_info"]
    trace.append_sampled(tokens, [0.0] * len(tokens), int(meta["weight_version"]))
    full = len(trace) >= engine.context_length
    end = StopReason.CONTEXT if full else StopReason.LENGTH
    sample.stop = STOPS.get(meta["finish_reason"]["type"], end)
    return sample
