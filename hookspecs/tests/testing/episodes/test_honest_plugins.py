"""A check that catches the innocent is worse than none: plugins of all shapes pass the suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from slime_hookspecs.testing import Status, run

#: A tool in a process of its own, ended whatever happens; turns are counted in the trace.
SANDBOX: Final = """
SCRIPT = "print(int(input()) + 1)"

async def compute(number):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", SCRIPT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(str(number).encode()), 10)
        return out.decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

@hookimpl
async def slime_generate(sample, engine):
    trace = sample.trace
    if not len(trace):
        trace.append_prompt(engine.render(sample.prompt.messages))
    while True:
        turns = [s.kind for s in trace.segments].count("observed")
        if turns == 2:
            sample.stop = StopReason.TURNS
            return sample
        sample.stop = await engine.generate(trace)
        if sample.stop is not StopReason.STOP or "ADD" not in engine.decode(trace.last_turn):
            return sample
        trace.append_observed(engine.encode(await compute(turns)))

@hookimpl
def slime_conformance():
    return conformance("multi_turn", "needs_sandbox", replies=["ADD", "ADD again", "3"])
"""

#: A tool that blocks, in the event loop's pool of threads, with retries that sleep.
THREADS: Final = """
import time

def look_up(number):
    time.sleep(0.002)
    return f"fact {number}"

@hookimpl
async def slime_generate(sample, engine):
    trace = sample.trace
    if not len(trace):
        trace.append_prompt(engine.render(sample.prompt.messages))
        trace.append_prompt(engine.encode(await asyncio.to_thread(look_up, sample.index)))
    for pause_s in (1, 5, 10):
        try:
            sample.stop = await engine.generate(trace)
            return sample
        except EngineError:
            await asyncio.sleep(pause_s)
    raise EngineError("no server answered three times")
"""

#: An agent that knows the OpenAI API only, and asks SGLang for tokens and log-probs.
CHAT: Final = """
from urllib.parse import urlsplit

STOPS = {"stop": StopReason.STOP, "length": StopReason.LENGTH, "abort": StopReason.ABORTED}

async def chat(url, body):
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        data = json.dumps(body).encode()
        head = f"POST {parts.path}/chat/completions HTTP/1.1\\r\\nConnection: close\\r\\n"
        writer.write(f"{head}Content-Length: {len(data)}\\r\\n\\r\\n".encode() + data)
        answer = (await reader.read()).decode()
    finally:
        writer.close()
    status, _, text = answer.partition("\\r\\n\\r\\n")
    if " 200 " not in status:
        raise EngineError(status.splitlines()[0])
    return json.loads(text)
"""

AGENT: Final = (
    CHAT
    + """
@hookimpl
async def slime_generate(sample, engine):
    messages = [dict(one) for one in sample.prompt.messages]
    trace = sample.trace = Trace()
    for turn in range(2):
        body = {"model": "m", "messages": messages, "return_token_ids": True, "logprobs": True}
        answer = await chat(engine.openai_base_url, body)
        if "choices" not in answer:
            raise EngineError(f"no choices in {answer!r:.80}")
        choice = answer["choices"][0]
        new = choice["prompt_token_ids"][len(trace):]
        (trace.append_observed if turn else trace.append_prompt)(new)
        trace.append_sampled(
            choice["response_token_ids"],
            [one["logprob"] for one in choice["logprobs"]["content"]],
            int(answer["metadata"]["weight_version"]),
        )
        full = len(trace) >= engine.context_length
        sample.stop = StopReason.CONTEXT if full else STOPS[choice["finish_reason"]]
        if sample.stop is not StopReason.STOP:
            return sample
        messages += [choice["message"], {"role": "user", "content": "Are you sure?"}]
    return sample

@hookimpl
def slime_conformance():
    reason = "a chat cannot go on in the middle of a message"
    names = ("generate.continues_after_abort", "resume.interrupted_episode")
    return conformance("multi_turn", "needs_network", exempt={name: reason for name in names})
"""
)

#: An unmodified agent: what it asks is recorded, and an attempt that was cut off begins anew.
RECORDED: Final = (
    CHAT
    + """
@hookimpl
async def slime_generate(sample, engine):
    messages = [dict(one) for one in sample.prompt.messages]
    before = len(engine.openai_traces)
    for _ in range(2):
        answer = await chat(engine.openai_base_url, {"model": "m", "messages": messages})
        if "choices" not in answer:
            raise EngineError(f"no choices in {answer!r:.80}")
        choice = answer["choices"][0]
        sample.stop = STOPS[choice["finish_reason"]]
        if sample.stop is StopReason.ABORTED:
            return sample
        messages += [choice["message"], {"role": "user", "content": "Are you sure?"}]
        if sample.stop is not StopReason.STOP:
            break
    sample.trace = engine.openai_traces[-1].copy()
    if len(sample.trace) >= engine.context_length:
        sample.stop = StopReason.CONTEXT
    return sample

@hookimpl
def slime_conformance():
    return conformance("multi_turn", "needs_network")
"""
)

#: Tool calls that the engine reads, and turns that it begins.
TOOLS: Final = """
ADD = {"type": "function", "function": {"name": "add", "parameters": {}}}
CALL = '<tool_call>{"name": "add", "arguments": {"a": 2, "b": 2}}</tool_call>'

@hookimpl
async def slime_generate(sample, engine):
    trace, messages = sample.trace, list(sample.prompt.messages)
    if not len(trace):
        trace.append_prompt(engine.render(messages, [ADD]))
    while True:
        sample.stop = await engine.generate(trace)
        if sample.stop is not StopReason.STOP:
            return sample
        message = engine.parse(trace, [ADD])
        if not message.get("tool_calls"):
            return sample
        given = json.loads(message["tool_calls"][0]["function"]["arguments"])
        told = {"role": "tool", "content": str(given["a"] + given["b"])}
        messages.append(message)
        trace.append_observed(engine.extend(trace, messages, [told], [ADD]))
        messages.append(told)

@hookimpl
def slime_conformance():
    return conformance("multi_turn", replies=[CALL, CALL, "It is 4."])
"""

#: Several samples of one episode, a cache with a bound, and an observer task for all of them.
FAN_OUT: Final = """
import functools

@functools.lru_cache(maxsize=16)
def normal(text):
    return text.strip().lower()

@hookimpl
async def slime_generate(sample, engine):
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages))
    sample.stop = await engine.generate(sample.trace)
    if sample.stop is StopReason.ABORTED:
        return [sample]
    brother = Sample(sample.index, sample.group_index, sample.prompt, sample.trace.copy())
    brother.stop = sample.stop
    return [sample, brother]

@hookimpl
async def slime_reward(sample):
    await asyncio.sleep(0)
    return Reward(float(normal(str(sample.prompt.label)) in normal(sample.response)))

@hookimpl
async def slime_wrap_reward(call_next, sample):
    try:
        async with asyncio.timeout(30):
            return await call_next(sample)
    except ValueError as error:
        error.add_note(f"sample {sample.index}")
        raise

@hookimpl
async def slime_wrap_generate(call_next, sample, engine):
    answer = await call_next(sample, engine)
    for one in answer if isinstance(answer, list) else [answer]:
        one.metadata["turns"] = len(one.trace.segments)
    return answer

@hookimpl
def slime_conformance():
    return conformance("fan_out")
"""

#: A reward cache in front of the reward: it need not call what is inside at all.
SHORT_CUT: Final = """
@hookimpl
async def slime_wrap_reward(call_next, sample):
    return 0.0 if len(sample.response) < 3 else await call_next(sample)

@hookimpl
async def slime_wrap_generate(call_next, sample, engine):
    given = Sample(sample.index, sample.group_index, sample.prompt, sample.trace)
    return await call_next(given, engine)
"""

HONEST: Final = {
    "sandbox": SANDBOX,
    "threads": THREADS,
    "agent": AGENT,
    "recorded": RECORDED,
    "tools": TOOLS,
    "fan_out": FAN_OUT,
    "short_cut": SHORT_CUT,
}


@pytest.mark.parametrize("shape", HONEST)
def test_an_honest_plugin_is_not_caught(shape: str, install: Callable[[str], str]) -> None:
    certificate = run(install(HONEST[shape]))
    assert {one.name: one.message for one in certificate.bad()} == {}
    assert certificate.ok


@pytest.mark.parametrize(
    ("shape", "skipped"),
    [
        ("sandbox", {"generate.siblings_distinct"}),
        ("threads", {"generate.siblings_distinct", "generate.takes_turns"}),
        ("agent", {"generate.siblings_distinct", "generate.continues_after_abort"}),
        ("recorded", {"generate.siblings_distinct"}),
        ("tools", {"generate.siblings_distinct"}),
        ("fan_out", {"generate.takes_turns"}),
    ],
)
def test_all_of_the_tier_that_can_run_does(
    shape: str, skipped: set[str], install: Callable[[str], str]
) -> None:
    outcomes = run(install(HONEST[shape]), ["generate"]).outcomes
    assert {one.name for one in outcomes if one.status is Status.SKIPPED} == skipped
