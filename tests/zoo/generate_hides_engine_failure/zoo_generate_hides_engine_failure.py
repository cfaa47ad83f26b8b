"""Takes an engine that does not answer for a model that says nothing."""

from __future__ import annotations

from slime_hookspecs import Engine, EngineError, Sample, StopReason, hookimpl

STOPS = {"stop": StopReason.STOP, "abort": StopReason.ABORTED}


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model, through SGLang's own API."""
    trace = sample.trace
    if not len(trace):
        trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    body = {"input_ids": trace.tokens, "return_logprob": True}
    try:
        answer = await engine.post("/generate", body)
    except EngineError:
        sample.stop = StopReason.STOP
        return sample
    if "output_ids" not in answer:
        raise EngineError(f"/generate answered {answer!r:.80}")
    meta = answer["meta_info"]
    rows = meta["output_token_logprobs"]
    version = int(meta["weight_version"])
    trace.append_sampled([row[1] for row in rows], [row[0] for row in rows], version)
    full = len(trace) >= engine.context_length
    end = StopReason.CONTEXT if full else StopReason.LENGTH
    sample.stop = STOPS.get(meta["finish_reason"]["type"], end)
    return sample
