"""Between agent and gateway: all passes as it is, calls are counted, and failures end the agent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import web
from slime_hookspecs import EngineError, StopReason, Trace
from slime_hookspecs.testing.kit import ScriptedEngine, serve
from slime_plugin_agent_blackbox import upstream
from slime_plugin_agent_blackbox.relay import Relay, written

ASK = {"messages": [{"role": "user", "content": "2+2="}]}
DONE = {"choices": [{"index": 0, "message": {"content": "4"}, "finish_reason": "stop"}]}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def gateway(handler: Handler) -> AsyncIterator[ScriptedEngine]:
    """An engine whose gateway is a handler, at a path of its own as a run's is."""
    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        yield ScriptedEngine(openai_base_url=f"http://127.0.0.1:{port}/abc123/v1")
    finally:
        await runner.cleanup()


@asynccontextmanager
async def relayed(handler: Handler, **limits: Any) -> AsyncIterator[tuple[Relay, Any]]:
    """A relay before a handler, and a session of a client."""
    async with (
        gateway(handler) as engine,
        Relay(engine, **limits) as relay,
        aiohttp.ClientSession() as client,
    ):
        yield relay, client


def answering(body: Any, status: int = 200) -> Handler:
    """A gateway that always answers the same."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return handler


async def test_requests_and_answers_pass_as_they_are() -> None:
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        key = request.headers.get("Authorization"), request.headers.get("x-more")
        seen.append((request.method, request.raw_path, key, await request.text()))
        return web.Response(status=201, body=b"\x00\xff", headers={"x-told": "yes"})

    async with relayed(handler) as (relay, client):
        headers = {"Authorization": "Bearer key", "x-more": "1"}
        url = f"{relay.base_url}/files/a%20b?q=%26"
        async with client.put(url, data=b"body", headers=headers) as answer:
            assert (answer.status, answer.headers["x-told"]) == (201, "yes")
            assert await answer.read() == b"\x00\xff"
    assert seen == [("PUT", "/abc123/v1/files/a%20b?q=%26", ("Bearer key", "1"), "body")]
    assert relay.calls == 0


async def test_clients_of_anthropics_api_begin_above_v1() -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return web.json_response({"type": "message", "stop_reason": "end_turn"})

    async with relayed(handler) as (relay, client):
        answer = await client.post(f"{relay.root}/v1/messages", json=ASK)
        assert answer.status == 200
    assert paths == ["/abc123/v1/messages"]
    assert (relay.calls, relay.answered) == (1, 1)


async def test_a_body_of_many_megabytes_passes() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        return web.json_response({**DONE, "length": len(body["messages"][0]["content"])})

    async with relayed(handler) as (relay, client):
        big = {"messages": [{"role": "user", "content": "x" * (8 << 20)}]}
        async with client.post(f"{relay.base_url}/chat/completions", json=big) as answer:
            assert (await answer.json())["length"] == 8 << 20


async def test_a_body_in_chunks_and_compressed_passes() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({**DONE, "got": (await request.json())["messages"]})

    async def pieces() -> AsyncIterator[bytes]:
        for piece in json.dumps(ASK).encode().split(b" "):
            yield piece + b" "

    async with relayed(handler) as (relay, client):
        url = f"{relay.base_url}/chat/completions"
        async with client.post(url, data=pieces()) as answer:
            assert (await answer.json())["got"] == ASK["messages"]
        async with client.post(url, json=ASK, compress="deflate") as answer:
            assert (await answer.json())["got"] == ASK["messages"]


async def test_streams_pass_piece_by_piece() -> None:
    going_on = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": waiting\n\n")
        await going_on.wait()
        await response.write(b"data: " + json.dumps(DONE).encode() + b"\n\ndata: [DONE]\n\n")
        return response

    async with relayed(handler) as (relay, client):
        body = {**ASK, "stream": True}
        async with client.post(f"{relay.base_url}/chat/completions", json=body) as answer:
            assert await answer.content.readline() == b": waiting\n"
            assert relay.answered == 0
            going_on.set()
            assert (await answer.read()).endswith(b"[DONE]\n\n")
        assert relay.answered == 1


async def test_a_call_that_is_the_agents_mistake_does_not_end_it() -> None:
    error = {"error": {"message": "no such tool", "code": None}}
    async with relayed(answering(error, 400)) as (relay, client):
        async with client.post(f"{relay.base_url}/completions", json=ASK) as answer:
            assert await answer.json() == error
        assert (relay.calls, relay.refused, relay.answered) == (1, 1, 0)
        assert relay.complaint == "status 400: no such tool"
        assert not relay.over.done()
        assert relay.limit is None


async def test_a_context_that_is_full_is_a_limit() -> None:
    error = {"error": {"message": "too long", "code": "context_length_exceeded"}}
    async with relayed(answering(error, 400)) as (relay, client):
        await client.post(f"{relay.base_url}/chat/completions", json=ASK)
        assert relay.limit is StopReason.CONTEXT
        assert not relay.over.done()


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"error": {"message": "no server answered", "code": "engine"}}, 502, "no server answered"),
        ({"error": {"message": "its own bug"}}, 500, "its own bug"),
        ({"text": "?"}, 200, "an answer that is none"),
    ],
)
async def test_a_gateway_that_fails_ends_the_agent(body: Any, status: int, message: str) -> None:
    async with relayed(answering(body, status)) as (relay, client):
        async with client.post(f"{relay.base_url}/chat/completions", json=ASK) as answer:
            assert answer.status == status
        error = await relay.over
        assert isinstance(error, EngineError)
        assert message in str(error)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"message": "the run ended this sample", "code": "aborted"}}, 503),
        ({"choices": [{"finish_reason": "abort"}]}, 200),
    ],
)
async def test_a_sample_that_the_run_aborts_ends_without_an_error(body: Any, status: int) -> None:
    async with relayed(answering(body, status)) as (relay, client):
        await client.post(f"{relay.base_url}/chat/completions", json=ASK)
        assert await relay.over is None


async def test_what_is_asked_besides_the_model_ends_nothing() -> None:
    async with relayed(answering({"error": {"message": "not here"}}, 500)) as (relay, client):
        async with client.get(f"{relay.base_url}/models") as answer:
            assert answer.status == 500
        assert not relay.over.done()
        assert relay.calls == 0


async def test_calls_are_counted_and_then_refused() -> None:
    async with relayed(answering(DONE), max_calls=2) as (relay, client):
        url = f"{relay.base_url}/chat/completions"
        statuses = [(await client.post(url, json=ASK)).status for _ in range(4)]
        assert statuses == [200, 200, 400, 400]
        assert (relay.calls, relay.answered, relay.refused) == (2, 2, 2)
        assert relay.limit is StopReason.TURNS
        async with client.post(url, json=ASK) as answer:
            assert (await answer.json())["error"]["code"] == "limit_turns"


async def test_an_ordinary_client_is_refused_once_and_does_not_try_again() -> None:
    async with relayed(answering(DONE), max_calls=1) as (relay, _):
        async with openai.AsyncOpenAI(base_url=relay.base_url, api_key="key") as speaker:
            ask: Any = {"model": "default", **ASK}
            answer = await speaker.chat.completions.create(**ask)
            assert answer.choices[0].message.content == "4"
            with pytest.raises(openai.BadRequestError, match="1 calls of the model are made"):
                await speaker.chat.completions.create(**ask)
        assert relay.refused == 1


async def test_an_agent_that_leaves_ends_its_call_at_the_gateway() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return web.Response()

    async with relayed(handler) as (relay, client):
        url = f"{relay.base_url}/chat/completions"
        call = asyncio.ensure_future(client.post(url, json=ASK))
        await began.wait()
        call.cancel()
        await ended.wait()
        assert not relay.over.done()


async def test_when_it_closes_calls_under_way_end_at_the_gateway() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return web.Response()

    async with gateway(handler) as engine, aiohttp.ClientSession() as client:
        async with Relay(engine) as relay:
            url = f"{relay.base_url}/chat/completions"
            call = asyncio.ensure_future(client.post(url, json=ASK))
            await began.wait()
        await ended.wait()
        with pytest.raises(aiohttp.ClientError):
            await call


async def test_conversations_of_an_earlier_attempt_are_left_out() -> None:
    engine = ScriptedEngine(["one", "two"])
    async with serve(engine), aiohttp.ClientSession() as client:
        for expected in (1, 1):
            async with Relay(engine) as relay:
                await client.post(f"{relay.base_url}/chat/completions", json=ASK)
                assert len(relay.traces) == expected
    assert len(engine.openai_traces) == 2


async def test_why_a_turn_ended_is_known_for_each_conversation() -> None:
    engine = ScriptedEngine(["a long answer"])
    async with serve(engine), Relay(engine) as relay, aiohttp.ClientSession() as client:
        for budget in (100, 2):
            body = {"messages": [{"role": "user", "content": str(budget)}], "max_tokens": budget}
            await client.post(f"{relay.base_url}/chat/completions", json=body)
        stops = [relay.stop_of(one) for one in relay.traces]
    assert stops == [StopReason.STOP, StopReason.LENGTH]


def test_what_branches_have_in_common_is_written_once() -> None:
    common = Trace()
    common.append_prompt([1, 2])
    common.append_sampled([3, 4], [-0.1, -0.1], 1)
    branches = [common.copy(), common.copy()]
    for one in branches:
        one.append_observed([5])
        one.append_sampled([6], [-0.1], 1)
    assert written([common, *branches]) == 4
    assert written([]) == 0


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", b"abc"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nab\r\n3;x=1\r\ncde\r\n0\r\n\r\n",
            b"abcde",
        ),
    ],
)
async def test_bodies_of_each_kind_are_read(answer: bytes, body: bytes) -> None:
    assert await parts_of(answer) == body


async def parts_of(answer: bytes) -> bytes:
    """The body in a server's bytes."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x"
    async with server, upstream.asked("GET", url, {}, b"") as got:
        return b"".join([part async for part in got.parts])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "broke off its answer: IncompleteReadError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "broke off its answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "broke off"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
            "did not answer in HTTP",
        ),
        (b"SSH-2.0-server\r\n\r\n", "did not answer in HTTP"),
        (b"HTTP/1.1\r\n\r\n", "did not answer in HTTP"),
    ],
)
async def test_answers_that_are_none_are_the_engines_failure(answer: bytes, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        await parts_of(answer)
