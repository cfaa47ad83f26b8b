"""The checks of generate catch a fault in whatever shape it comes, and say what it is."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import indent
from typing import Final

import pytest
from slime_hookspecs.testing import Outcome, Status

Catch = Callable[[str, str], Outcome]

ONE_TURN: Final = "begin(sample, engine)\nsample.stop = await engine.generate(sample.trace)\n"

TWO_TURNS: Final = """
begin(sample, engine)
trace = sample.trace
if "observed" not in [s.kind for s in trace.segments]:
    sample.stop = await engine.generate(trace)
    if sample.stop is not StopReason.STOP:
        return sample
    trace.append_observed(engine.encode("Sure?"))
"""

POST: Final = """
begin(sample, engine)
trace = sample.trace
body = {"input_ids": trace.tokens, "return_logprob": True}
answer = await engine.post("/generate", body)
meta = answer["meta_info"]
rows = meta["output_token_logprobs"]
sample.stop = StopReason.STOP
"""


def generate(body: str, more: str = "") -> str:
    """A plugin that generates so, and returns the sample."""
    lines = indent(f"{body}\nreturn sample", "    ")
    return f"{more}\n@hookimpl\nasync def slime_generate(sample, engine, ctx):\n{lines}\n"


#: Check, plugin, part of what it says.
CAUGHT: Final = {
    "a string for an answer": (
        "generate.answers",
        generate("return 'four'"),
        "it returned 'four'; return the sample or a list of them",
    ),
    "an empty list": ("generate.answers", generate("return []"), "it returned []"),
    "an exception": (
        "generate.answers",
        generate("raise KeyError('x')"),
        "it raised KeyError: 'x' (at written_0.py:",
    ),
    "a server that was not asked for": (
        "generate.answers",
        generate("await asyncio.open_connection('127.0.0.1', 9)"),
        "on prompt 'conformance/0'\n  where it asks engine.openai_base_url, declare that it is "
        "needs_network",
    ),
    "hanging for ever": (
        "generate.answers",
        generate("await asyncio.Event().wait()"),
        "it was not over after 60 s",
    ),
    "its own cancellation": (
        "generate.answers",
        generate("raise asyncio.CancelledError"),
        "it ended with a CancelledError that nobody asked for",
    ),
    "a stop reason in words": (
        "generate.stop_reason",
        generate(ONE_TURN + "sample.stop = 'done'"),
        "sample.stop is 'done'",
    ),
    "text made into tokens again": (
        "generate.mask_on_sampled_only",
        generate(
            POST + "tokens = engine.encode(answer['text'].upper())\n"
            "trace.append_sampled(tokens, [0.0] * len(tokens), 1)"
        ),
        "'THE ANSWER IS 4.' is marked as sampled, and the engine did not write it",
    ),
    "log-probs of other tokens": (
        "generate.logprobs",
        generate(
            POST + "trace.append_sampled([r[1] for r in rows], [r[0] for r in rows[::-1]], 1)"
        ),
        "came with the log-probs",
    ),
    "the version of the step": (
        "generate.weight_versions",
        generate(
            POST + "version = ctx.weight_version\n"
            "trace.append_sampled([r[1] for r in rows], [r[0] for r in rows], version)"
        ),
        "weights of version 2 wrote tokens that are kept with version 1",
    ),
    "an old version in the second turn": (
        "generate.weight_versions",
        generate(
            ONE_TURN + "trace, version = sample.trace, sample.trace.segments[-1].weight_version\n"
            "if sample.stop is StopReason.STOP:\n"
            "    trace.append_observed(engine.encode('Sure?'))\n"
            "    branch = trace.copy()\n"
            "    sample.stop = await engine.generate(branch)\n"
            "    last = branch.segments[-1]\n"
            "    trace.append_sampled(last.tokens, last.logprobs, version)"
        ),
        "weights of version 3 wrote tokens that are kept with version 2",
    ),
    "a lost observation": (
        "generate.append_only",
        generate(
            TWO_TURNS + "sample.stop = await engine.generate(trace)\n"
            "kept = [s for s in trace.segments if s.kind != 'observed']\n"
            "sample.trace = Trace(kept)"
        ),
        "that are not the beginning of any trace that came back",
    ),
    "a set in the metadata": (
        "generate.json_metadata",
        generate(ONE_TURN + "sample.metadata['seen'] = {1: 2}"),
        "sample.metadata is {'seen': {1: 2}}",
    ),
    "STOP where the context is full": (
        "generate.full_context",
        generate(ONE_TURN + "sample.stop = StopReason.STOP"),
        "the context was full, and sample.stop is STOP",
    ),
    "an exception where the context is full": (
        "generate.full_context",
        generate(ONE_TURN + "assert sample.stop is StopReason.STOP, 'no room'"),
        "the model's context was full, and it raised AssertionError: no room",
    ),
    "a tool added to the prompt": (
        "generate.keeps_prompt",
        generate(ONE_TURN + "sample.prompt.metadata['calls'] = 1"),
        "it changed sample.prompt",
    ),
    "the prompt twice": (
        "generate.prompt_once",
        generate("begin(sample, engine)\nfirst = sample.trace.tokens\n")
        .replace("first = sample.trace.tokens", "sample.trace.append_prompt(sample.trace.tokens)")
        .replace("return sample", "sample.stop = await engine.generate(sample.trace)")
        + "    return sample\n",
        "the prompt is in the trace twice",
    ),
    "one thread for each episode": (
        "generate.leaves_nothing",
        generate(
            ONE_TURN + "import threading\n"
            "threading.Thread(target=lambda: __import__('time').sleep(3), name='sand').start()"
        ),
        "it left threads running: sand",
    ),
    "a process that is not killed when cancelled": (
        "generate.leaves_nothing_when_cancelled",
        generate(
            "import subprocess\nbox = subprocess.Popen(['sleep', '5'])\n"
            "try:\n" + indent(ONE_TURN, "    ") + "except EngineError:\n    box.kill()\n    raise\n"
            "box.kill()\nbox.wait()"
        ),
        "cancelled, it left 1 processes running",
    ),
    "an abort in the second turn that is taken for an end": (
        "generate.continues_after_abort",
        generate(TWO_TURNS + "await engine.generate(trace)\nsample.stop = StopReason.STOP"),
        "the engine aborted, and sample.stop is STOP",
    ),
    "a second attempt that raises": (
        "generate.continues_after_abort",
        generate(
            "sample.trace.append_prompt(engine.render(sample.prompt.messages))\n"
            "sample.stop = await engine.generate(sample.trace)"
        ),
        "continued, it raised ValueError: a prompt cannot follow a response",
    ),
    "an error of its own where the engine is down": (
        "generate.engine_down",
        generate(
            "try:\n" + indent(ONE_TURN, "    ") + "except EngineError:\n    raise KeyError(1)"
        ),
        "it raised KeyError: 1 (at written_0.py:",
    ),
    "an error of its own where the engine goes down later": (
        "generate.engine_down",
        generate(
            TWO_TURNS + "try:\n    sample.stop = await engine.generate(trace)\n"
            "except EngineError:\n    raise RuntimeError('second')"
        ),
        "it raised RuntimeError: second",
    ),
    "asking for ever where the engine is down": (
        "generate.engine_down",
        generate(
            "while True:\n    try:\n" + indent(ONE_TURN + "return sample", "        ") + "\n"
            "    except EngineError:\n        await asyncio.sleep(1)"
        ),
        "it was not over after 60 s",
    ),
    "a malformed answer taken for an empty one": (
        "generate.malformed_answer",
        generate("try:\n" + indent(ONE_TURN, "    ") + "except EngineError:\n    pass"),
        "the engine never answered, and a sample came back with stop PENDING",
    ),
    "a cancellation turned into an error": (
        "generate.cancellation",
        generate(
            "try:\n" + indent(ONE_TURN, "    ") + "except asyncio.CancelledError:\n"
            "    raise RuntimeError('stopped') from None"
        ),
        "it ended with RuntimeError('stopped'); let CancelledError pass",
    ),
    "a cancellation swallowed in the second turn only": (
        "generate.cancellation",
        generate(
            TWO_TURNS + "await asyncio.sleep(1)\n"
            "try:\n    sample.stop = await engine.generate(trace)\n"
            "except asyncio.CancelledError:\n    sample.stop = StopReason.TURNS"
        ),
        "cancelled in call 1 to the engine, it ended with Sample(",
    ),
    "an engine shielded from cancellation": (
        "generate.deadline",
        generate(
            "begin(sample, engine)\n"
            "work = asyncio.ensure_future(engine.generate(sample.trace))\n"
            "while not work.done():\n"
            "    try:\n        await asyncio.wait([work])\n"
            "    except asyncio.CancelledError:\n        await asyncio.wait([work], timeout=90)\n"
            "        work.cancel()\n        raise\n"
            "sample.stop = work.result()"
        ),
        "it went on for 60 s after the core cancelled it",
    ),
    "a flag that stays up": (
        "generate.works_after_failure",
        generate(
            "while loop_flags.get(id(asyncio.get_running_loop())):\n    await asyncio.sleep(1)\n"
            "loop_flags[id(asyncio.get_running_loop())] = True\n" + ONE_TURN + "loop_flags.clear()",
            "loop_flags = {}",
        ),
        "after episodes that failed, one that should not: it was not over after 60 s",
    ),
    "a lock that breaks": (
        "generate.works_after_failure",
        generate(
            "if broken:\n    raise ValueError('broken')\n"
            "try:\n" + indent(ONE_TURN, "    ") + "except EngineError:\n    broken.append(1)\n"
            "    raise",
            "broken = []",
        ),
        "one that should not: ValueError: broken (at written_0.py:",
    ),
    "a shared list of siblings": (
        "generate.siblings_distinct",
        generate(ONE_TURN + "return [sample, sample]")
        + "@hookimpl\ndef slime_conformance():\n    return conformance('fan_out')\n",
        "the same sample is in the list of 2 more than once",
    ),
    "an exception beside others": (
        "generate.samples_do_not_mix",
        generate(
            "if busy:\n    raise RuntimeError('busy')\n"
            "busy.append(1)\ntry:\n" + indent(ONE_TURN, "    ") + "finally:\n    busy.clear()",
            "busy = []",
        ),
        "beside others it raised RuntimeError: busy",
    ),
}


@pytest.mark.parametrize("fault", CAUGHT)
def test_a_fault_is_caught_and_named(fault: str, catch: Catch) -> None:
    check, source, says = CAUGHT[fault]
    found = catch(check, source)
    assert (found.status, says in found.message) == (Status.FAILED, True), found.message


#: Check, plugin, why there is nothing to check.
NOTHING: Final = {
    "an episode that raises": (
        "generate.stop_reason",
        generate("raise KeyError('x')"),
        "it raises, which generate.answers reports",
    ),
    "no sample": (
        "generate.append_only",
        generate("return None"),
        "it returns no sample, which generate.answers reports",
    ),
    "no call to the engine": (
        "generate.engine_down",
        generate("sample.trace.append_demonstrated([9, 1])\nsample.stop = StopReason.DEMONSTRATED"),
        "it does not ask the engine to generate",
    ),
    "chance": (
        "generate.samples_do_not_mix",
        generate(ONE_TURN + "sample.trace.append_observed([9] * next(n))", "n = iter(range(999))"),
        "a sample alone gets something else each time",
    ),
    "another sample than the one given": (
        "generate.continues_after_abort",
        generate(ONE_TURN + "return [Sample(9, 9, sample.prompt, sample.trace, sample.stop)]"),
        "it returns other samples, which have no second attempt",
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_where_there_is_nothing_to_check_it_says_why(case: str, catch: Catch) -> None:
    check, source, reason = NOTHING[case]
    found = catch(check, source)
    assert (found.status, found.reason) == (Status.SKIPPED, reason), found.message


def test_an_engine_that_fails_may_be_told_on_the_sample(catch: Catch) -> None:
    body = "try:\n" + indent(ONE_TURN, "    ") + "except EngineError as error:\n"
    body += "    sample.stop = StopReason.FAILED\n"
    body += "    sample.error = SampleError('written', 'slime_generate', 'EngineError', str(error))"
    assert catch("generate.engine_down", generate(body)).status is Status.PASSED


def test_the_replies_of_the_author_are_what_the_model_writes(catch: Catch) -> None:
    body = ONE_TURN + "assert engine.decode(sample.trace.response_tokens) == 'CALL'"
    told = "@hookimpl\ndef slime_conformance():\n    return conformance(replies=['CALL'])\n"
    assert catch("generate.answers", generate(body) + told).status is Status.PASSED
    assert catch("generate.answers", generate(body)).status is Status.FAILED
