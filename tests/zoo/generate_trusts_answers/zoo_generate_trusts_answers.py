"""Reads the engine's answer without a look, and fails with a KeyError."""

from __future__ import annotations

from slime_hookspecs import Engine, Sample, StopReason, hookimpl

STOPS = {"stop": StopReason.STOP, "abort": StopReason.ABORTED}


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model, through SGLang's own API."""
    trace = sample.trace
    if not len(trace):
        trace.append_prompt(engine.render(sample.prompt.messages, sample.prompt.tools))
    body = {"input_ids": trace.tokens, "return_logprob": True}
    meta = (await engine.post("/generate", body))["meta_info"]
    rows = meta["output_token_logprobs"]
    version = int(meta["weight_version"])
    trace.append_sampled([row[1] for row in rows], [row[0] for row in rows], version)
    full = len(trace) >= engine.context_length
    end = StopReason.CONTEXT if full else StopReason.LENGTH
    sample.stop = STOPS.get(meta["finish_reason"]["type"], end)
    return sample
