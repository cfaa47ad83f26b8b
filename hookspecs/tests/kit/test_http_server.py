"""The scripted engine over real sockets: SGLang's and OpenAI's answers, faults, and a clean end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from slime_hookspecs import StopReason, Trace
from slime_hookspecs.testing.kit import (
    Abort,
    Malformed,
    NewWeights,
    Restart,
    ScriptedEngine,
    Timeout,
    serve,
)
from slime_hookspecs.testing.kit.faults import MALFORMED_ANSWER

MESSAGES = [{"role": "user", "content": "2+2="}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


async def ask(url: str, path: str, body: Any = None, *, raw: bytes | None = None) -> Any:
    """Status and JSON of one request on a connection of its own."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    data = raw if raw is not None else (b"" if body is None else json.dumps(body).encode())
    method = "GET" if body is None and raw is None else "POST"
    head = f"{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    answer = await reader.read()
    writer.close()
    status, _, rest = answer.partition(b"\r\n")
    return int(status.split()[1]), json.loads(rest.partition(b"\r\n\r\n")[2])


async def test_generate_answers_as_the_engine_does() -> None:
    engine, twin = ScriptedEngine(["4"]), ScriptedEngine(["4"])
    body = {"input_ids": engine.render(MESSAGES), "rid": "a", "return_logprob": True}
    async with serve(engine) as url:
        assert await ask(url, "/generate", body) == (200, await twin.answer(body))
    assert [call.path for call in engine.calls] == ["/generate"]


@pytest.mark.parametrize("path", ["/health", "/health_generate"])
async def test_it_says_that_it_is_well(path: str) -> None:
    async with serve(ScriptedEngine()) as url:
        assert await ask(url, path) == (200, {})


async def test_it_tells_its_weight_version() -> None:
    engine = ScriptedEngine(weight_version=3, faults=[NewWeights()])
    async with serve(engine) as url:
        assert (await ask(url, "/model_info"))[1]["weight_version"] == "3"
        _, answer = await ask(url, "/generate", {"text": "?"})
        assert answer["meta_info"]["weight_version"] == "4"
        assert (await ask(url, "/get_model_info"))[1]["weight_version"] == "4"


async def test_chat_completions_answer_as_openai_does_and_are_recorded() -> None:
    engine = ScriptedEngine(["4", "yes"])
    async with serve(engine) as url:
        assert engine.openai_base_url == f"{url}/v1"
        body = {"model": "m", "messages": MESSAGES}
        status, answer = await ask(url, "/v1/chat/completions", body)
        history = [*MESSAGES, answer["choices"][0]["message"], {"role": "user", "content": "sure?"}]
        _, second = await ask(url, "/v1/chat/completions", {"model": "m", "messages": history})
    assert status == 200
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "4"},
            "finish_reason": "stop",
        }
    ]
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert (answer["model"], answer["object"]) == ("m", "chat.completion")
    assert second["choices"][0]["message"]["content"] == "yes"
    (trace,) = engine.openai_traces
    assert [s.kind for s in trace.segments] == ["prompt", "sampled", "observed", "sampled"]
    assert trace.tokens == [
        *engine.render(history, add_generation_prompt=True),
        *engine.encode("yes"),
        engine.tokenizer.end,
    ]


async def test_chat_completions_give_tool_calls_and_token_ids_on_request() -> None:
    text = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'
    engine = ScriptedEngine([text])
    body = {"messages": MESSAGES, "tools": [TOOL], "return_token_ids": True, "logprobs": True}
    async with serve(engine) as url:
        _, answer = await ask(url, "/v1/chat/completions", body)
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert call["function"] == {"name": "add", "arguments": '{"a": 1}'}
    tokens = [*engine.encode(text), engine.tokenizer.end]
    assert choice["response_token_ids"] == tokens
    assert choice["prompt_token_ids"] == engine.render(MESSAGES, [TOOL])
    assert len(choice["logprobs"]["content"]) == len(tokens)


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_chat_completions_mind_the_budget(limit: str) -> None:
    async with serve(ScriptedEngine(["abcdef"])) as url:
        body = {"messages": MESSAGES, limit: 3}
        _, answer = await ask(url, "/v1/chat/completions", body)
    (choice,) = answer["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("abc", "length")


@pytest.mark.parametrize(
    ("path", "raw", "status", "message"),
    [
        ("/v1/chat/completions", b'{"stream": true}', 400, "the scripted engine does not stream"),
        ("/generate", b"{not json", 400, "JSONDecodeError"),
        ("/generate", b"[1]", 400, "AttributeError"),
        ("/v1/chat/completions", b'{"messages": [{"role": "x"}]}', 400, "role 'x' is not one of"),
        ("/nowhere", b"{}", 404, "no POST /nowhere here"),
    ],
)
async def test_what_it_cannot_serve_is_refused_and_the_next_request_served(
    path: str, raw: bytes, status: int, message: str
) -> None:
    async with serve(ScriptedEngine(["4"])) as url:
        found, answer = await ask(url, path, raw=raw)
        assert (found, message in answer["error"]["message"]) == (status, True)
        assert (await ask(url, "/generate", {"text": "?"}))[1]["text"] == "4"


async def test_faults_come_over_http_too() -> None:
    engine = ScriptedEngine(["abcdef"], faults=[Restart(), Malformed(call=1), Abort(call=2)])
    body = {"input_ids": [3, 50, 1, 4]}
    async with serve(engine) as url:
        down = await ask(url, "/generate", body)
        assert down == (503, {"error": {"message": "no server answered; it is starting again"}})
        assert await ask(url, "/generate", body) == (200, MALFORMED_ANSWER)
        _, aborted = await ask(url, "/generate", body)
        assert (aborted["text"], aborted["meta_info"]["finish_reason"]["type"]) == ("abc", "abort")
        assert (await ask(url, "/generate", body))[1]["text"] == "abcdef"


@pytest.mark.parametrize("abort", [{"abort_all": True}, {"rid": "a"}])
async def test_an_abort_ends_a_request_that_is_running(abort: dict[str, Any]) -> None:
    engine = ScriptedEngine(["abcdef"], faults=[Timeout()])
    async with serve(engine) as url:
        running = asyncio.ensure_future(ask(url, "/generate", {"text": "?", "rid": "a"}))
        while not engine.calls:
            await asyncio.sleep(0.01)
        assert await ask(url, "/abort_request", {"rid": "another"}) == (200, {})
        await asyncio.sleep(0.02)
        assert not running.done()
        assert await ask(url, "/abort_request", abort) == (200, {})
        _, answer = await asyncio.wait_for(running, 10)
    assert answer["meta_info"]["finish_reason"] == {"type": "abort"}
    assert answer["output_ids"] == []


async def test_a_client_that_leaves_costs_the_others_nothing() -> None:
    engine = ScriptedEngine(["4"], faults=[Timeout()])
    async with serve(engine) as url:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b'POST /generate HTTP/1.1\r\nContent-Length: 13\r\n\r\n{"text": "?"}')
        await writer.drain()
        writer.close()
        assert (await asyncio.wait_for(ask(url, "/generate", {"text": "?"}), 10))[0] == 200


async def test_a_connection_carries_several_requests() -> None:
    async with serve(ScriptedEngine(["4"])) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(2):
            writer.write(b'POST /generate HTTP/1.1\r\nContent-Length: 13\r\n\r\n{"text": "?"}')
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            assert json.loads(await reader.readexactly(length))["text"] == "4"
        writer.close()


async def test_nothing_is_left_when_the_context_ends() -> None:
    before = asyncio.all_tasks()
    async with serve(ScriptedEngine(faults=[Timeout(call=None)])) as url:
        running = asyncio.ensure_future(ask(url, "/generate", {"text": "?"}))
        await asyncio.sleep(0.05)
    with pytest.raises((json.JSONDecodeError, IndexError, ValueError, ConnectionError)):
        await asyncio.wait_for(running, 10)
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == before
    host, port = url.removeprefix("http://").split(":")
    with pytest.raises(OSError, match=r"\d"):
        await asyncio.open_connection(host, int(port))


async def test_the_handle_itself_works_while_it_is_served() -> None:
    engine, trace = ScriptedEngine(["4"]), Trace()
    async with serve(engine):
        trace.append_prompt(engine.render(MESSAGES))
        assert await engine.generate(trace) is StopReason.STOP
    assert engine.openai_traces == []
