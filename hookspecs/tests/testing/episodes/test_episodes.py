"""What the checks of episodes are made of: episodes, marks of what runs, and the soak."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from slime_hookspecs import EngineError, StopReason, Trace
from slime_hookspecs.testing import CheckFailed, NotApplicable, Subject
from slime_hookspecs.testing.checks import _episodes
from slime_hookspecs.testing.checks._running import Running, steps
from slime_hookspecs.testing.kit import (
    Abort,
    Malformed,
    NewWeights,
    ScriptedEngine,
    VirtualClock,
    make_prompt,
    serve,
)
from slime_hookspecs.testing.kit.clock import children
from slime_hookspecs.testing.kit.engine import Written, logprobs
from slime_hookspecs.testing.soak import soak

Open = Callable[[str], Subject]
PLAIN = """
@hookimpl
async def slime_generate(sample, engine):
    begin(sample, engine)
    sample.stop = await engine.generate(sample.trace)
    return sample
"""
DONE = """
@hookimpl
async def slime_generate(sample, engine):
    sample.stop = StopReason.DEMONSTRATED
    return sample
"""


async def _returns(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def _raises(error: BaseException) -> None:
    raise error


def test_an_episode_that_ends_gives_its_value_or_its_exception() -> None:
    error = ValueError("x")
    assert _episodes.run(_episodes.ended(_returns(4))) == 4
    assert _episodes.run(_episodes.ended(_returns(None))) is None
    assert _episodes.run(_episodes.ended(_raises(error))) is error


def test_an_episode_that_hangs_or_cancels_itself_has_failed() -> None:
    with pytest.raises(CheckFailed, match="it was not over after 60 s"):
        _episodes.run(_episodes.ended(asyncio.sleep(61)))
    with pytest.raises(CheckFailed, match="a CancelledError that nobody asked for"):
        _episodes.run(_episodes.ended(_raises(asyncio.CancelledError())))


async def _stubborn() -> None:
    try:
        await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(100)


@pytest.mark.parametrize(("work", "over"), [(asyncio.sleep, True), (None, False)])
def test_cancel_tells_whether_it_was_over_in_time(work: Any, over: bool) -> None:
    async def cancelled() -> bool:
        task = asyncio.ensure_future(work(1000) if work else _stubborn())
        await asyncio.sleep(0)
        return await _episodes.cancel(task)

    assert _episodes.run(cancelled()) is over


def test_only_errors_of_another_family_are_wrong() -> None:
    assert not _episodes.wrong_error(EngineError("no server"))
    assert not _episodes.wrong_error("a value")
    assert _episodes.wrong_error(KeyError("x"))


@pytest.mark.parametrize("answer", [None, [], ["x"], "x"])
def test_what_is_no_sample_is_left_to_another_check(answer: Any) -> None:
    with pytest.raises(NotApplicable, match=r"generate\.answers"):
        _episodes.samples_of(answer)


def test_each_attempt_has_a_prompt_of_its_own() -> None:
    prompt = make_prompt()
    sample = _episodes.sample(prompt, 3)
    assert (sample.prompt, sample.index, sample.group_index) == (prompt, 3, 3)
    assert sample.prompt.messages is not prompt.messages


def test_an_episode_tells_what_the_engine_wrote(subject: Open) -> None:
    told = _episodes.episode(subject(PLAIN), make_prompt())
    (written,) = told.engine.written
    (sample,) = told.samples
    assert sample.trace.tokens == [*written.asked, *written.tokens]
    assert told.engine.decode(written.tokens) == _episodes.REPLIES[0]


def test_calls_are_counted_in_a_whole_episode(subject: Open) -> None:
    assert _episodes.calls_of(subject(PLAIN), make_prompt()) == range(1)
    with pytest.raises(NotApplicable, match="does not ask the engine"):
        _episodes.calls_of(subject(DONE), make_prompt())


def test_an_episode_can_be_met_in_the_middle_of_a_call(subject: Open) -> None:
    async def met(source: str) -> tuple[bool, int, bool]:
        task, engine = await _episodes.in_call(subject(source), make_prompt(), 0)
        done = task.done()
        return done, len(engine.written), await _episodes.cancel(task)

    assert _episodes.run(met(PLAIN)) == (False, 0, True)
    assert _episodes.run(met(DONE)) == (True, 0, True)


def test_what_runs_is_told_by_kind() -> None:
    async def look() -> list[str]:
        before, told, event = Running(), [], threading.Event()
        told.append(before.since())
        task = asyncio.ensure_future(asyncio.sleep(9))
        told.append(before.since())
        told.append(before.since(task))
        task.cancel()
        await steps()
        thread = threading.Thread(target=event.wait, name="watcher")
        thread.start()
        told.append(before.since())
        event.set()
        thread.join()
        process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
        told.append(before.since())
        process.communicate(b"\n")
        await asyncio.to_thread(int, "1")
        told.append(before.since())
        return told

    assert asyncio.run(look()) == [
        "",
        "tasks running: sleep",
        "",
        "threads running: watcher",
        "1 processes running",
        "",
    ]


def test_children_are_those_not_yet_waited_for() -> None:
    before = children()
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    assert children() - before == {process.pid}
    process.communicate(b"\n")
    assert children() == before


def test_the_clock_waits_for_processes_and_threads_before_it_jumps() -> None:
    async def compute() -> tuple[str, int]:
        script = "import time; time.sleep(0.2); print(42)"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", script, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(process.communicate(), 600)
        work = asyncio.to_thread(time.sleep, 0.02)
        await asyncio.wait_for(work, 600)
        return out.decode().strip(), process.returncode or 0

    clock = VirtualClock()
    assert clock.run(compute()) == ("42", 0)
    assert clock.elapsed < 60


def test_the_clock_jumps_over_what_nobody_will_answer() -> None:
    async def silent() -> None:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(), 3600)
        writer.close()

    async def both() -> None:
        nonlocal server
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        await silent()
        server.close()

    server: Any = None
    clock, start = VirtualClock(), time.monotonic()
    clock.run(both())
    assert time.monotonic() - start < 5
    assert clock.elapsed == pytest.approx(3600, abs=1)


def test_the_engine_notes_what_it_wrote_and_nothing_else() -> None:
    engine = ScriptedEngine(["four"], faults=[Malformed(), Abort(after_tokens=2, call=1)])
    trace = Trace()
    trace.append_prompt([9, 9])

    async def twice() -> None:
        with pytest.raises(EngineError):
            await engine.generate(trace)
        await engine.generate(trace)

    asyncio.run(twice())
    tokens = tuple(engine.encode("fo"))
    assert engine.written == [
        Written((9, 9), tokens, tuple(logprobs(tokens, 2)), 1, StopReason.ABORTED)
    ]


async def _chat(engine: ScriptedEngine, **more: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "2+2="}], **more}
    async with serve(engine) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        data = json.dumps(body).encode()
        head = f"Connection: close\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(f"POST /v1/chat/completions HTTP/1.1\r\n{head}".encode() + data)
        answer = await reader.read()
        writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def test_the_openai_endpoint_gives_tokens_and_logprobs_to_who_asks() -> None:
    engine = ScriptedEngine(["four"], faults=[NewWeights(by=4)])
    asked = {"return_token_ids": True, "return_meta_info": True, "logprobs": True}
    answer = asyncio.run(_chat(engine, **asked))
    (written,) = engine.written
    (choice,) = answer["choices"]
    assert answer["metadata"] == {"weight_version": "5"}
    assert choice["prompt_token_ids"] == list(written.asked)
    assert choice["response_token_ids"] == list(written.tokens)
    assert [one["logprob"] for one in choice["logprobs"]["content"]] == list(written.logprobs)
    assert choice["meta_info"]["completion_tokens"] == len(written.tokens)
    assert choice["message"] == {"role": "assistant", "content": "four"}


def test_the_openai_endpoint_gives_no_more_than_was_asked_for() -> None:
    (choice,) = asyncio.run(_chat(ScriptedEngine(["four"])))["choices"]
    assert choice.keys() == {"index", "message", "finish_reason"}


def test_a_malformed_answer_has_no_choices() -> None:
    answer = asyncio.run(_chat(ScriptedEngine(["four"], faults=[Malformed()])))
    assert answer == {"text": "?", "meta_info": {}}


def test_a_soak_of_a_plain_plugin_finds_nothing(subject: Open) -> None:
    found = soak(subject(PLAIN))
    assert (found["episodes"], found["error"]) == (600, "")
    assert found["bytes"] < 20_000
    assert (found["descriptors"], found["running"]) == (0, 0)


def test_a_soak_of_slow_episodes_is_shorter(subject: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slime_hookspecs.testing.soak.BUDGET_S", 0.001)
    assert soak(subject(PLAIN))["episodes"] == 36


def test_a_soak_ends_at_the_first_exception_and_still_measures(subject: Open) -> None:
    source = "import os\n@hookimpl\ndef slime_reward(sample):\n    os.pipe()\n"
    source += "    return 1 / (sample.index - 450)\n"
    found = soak(subject(source))
    raised = "episode 450 raised ZeroDivisionError: division by zero (at "
    assert found["error"].startswith(raised)
    # Each of ten side by side opens two, from 400 to 459, the failed one too.
    assert found["descriptors"] == 120


def test_a_soak_scores_every_sibling_and_the_group(subject: Open) -> None:
    opened = subject("""
calls = []

@hookimpl
async def slime_generate(sample, engine):
    begin(sample, engine)
    sample.stop = await engine.generate(sample.trace)
    return [sample, Sample(0, 0, sample.prompt, sample.trace.copy(), sample.stop)]

@hookimpl
async def slime_reward(sample):
    calls.append(sample.response)
    return 0.0

@hookimpl
def slime_group_reward(group):
    calls.append(len(group.samples))
    return [0.0, 0.0]
""")
    soak(opened)
    calls = sys.modules[opened.target.module].calls
    assert (calls.count(2), calls.count(_episodes.REPLIES[0])) == (1000, 2000)
