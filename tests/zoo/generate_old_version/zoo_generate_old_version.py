"""Takes the weight version before it asks, not from the answer."""

from __future__ import annotations

from slime_hookspecs import Engine, EngineError, Sample, StopReason, hookimpl

STOPS = {"stop": StopReason.STOP, "abort": StopReason.ABORTED}


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model, through SGLang's own API."""
    trace, version = sample.trace, engine.weight_version
    if not len(trace):
        trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    body = {"input_ids": trace.tokens, "return_logprob": True}
    answer = await engine.post("/generate", body)
    if "output_ids" not in answer:
        raise EngineError(f"/generate answered {answer!r:.80}")
    rows = answer["meta_info"]["output_token_logprobs"]
    trace.append_sampled([row[1] for row in rows], [row[0] for row in rows], version)
    full = len(trace) >= engine.context_length
    end = StopReason.CONTEXT if full else StopReason.LENGTH
    sample.stop = STOPS.get(answer["meta_info"]["finish_reason"]["type"], end)
    return sample
