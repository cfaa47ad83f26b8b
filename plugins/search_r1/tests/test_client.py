"""The client against real servers: good ones, broken ones, slow ones, and something else."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from aiohttp import web
from search_r1_support import Handler, answering, serving
from slime_hookspecs import ConfigError
from slime_plugin_search_r1 import client
from slime_plugin_search_r1.client import HttpRetriever
from slime_plugin_search_r1.passages import Passage, RetrievalError

GOLD = {"id": "g", "contents": '"Gold"\nGold has the number 79.'}


class Waits:
    """Stands in for sleeping, and remembers."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def statuses(*codes: int) -> tuple[Handler, list[Any]]:
    """A handler that answers these statuses, then finds gold; and what it was asked."""
    asked = list[Any]()

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(await request.json())
        if len(asked) <= len(codes):
            return web.Response(status=codes[len(asked) - 1], text="try  later\n")
        return await answering(GOLD)(request)

    return handle, asked


def saying(body: bytes | str, status: int = 200) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        data = body if isinstance(body, bytes) else body.encode()
        return web.Response(body=data, status=status)

    return handle


async def refusal(handler: Handler, **options: Any) -> str:
    async with serving(handler) as url:
        with pytest.raises(RetrievalError) as raised:
            await HttpRetriever(url, **{"retries": 0, **options}).search("gold")
        return str(raised.value).replace(url, "URL")


async def test_a_server_is_asked_as_search_r1_asks_it() -> None:
    handler, asked = statuses()
    async with serving(handler) as url:
        found = await HttpRetriever(url, top_k=5).search("gold")
    assert found == [Passage("g", "Gold", "Gold has the number 79.")]
    assert asked == [{"queries": ["gold"], "topk": 5, "return_scores": True}]


@pytest.mark.parametrize(
    "given", ["http://a:1", "http://a:1/", "http://a:1/retrieve", "http://a:1/retrieve/"]
)
def test_the_url_may_have_the_path_or_not(given: str) -> None:
    assert HttpRetriever(given).url == "http://a:1/retrieve"


@pytest.mark.parametrize(
    ("entry", "passage"),
    [
        ({"document": {"contents": "x"}, "score": 1}, Passage("1", "", "x")),
        ({"document": {"id": 9, "title": "T", "text": "x"}}, Passage("9", "T", "x")),
        ({"contents": "x"}, Passage("1", "", "x")),
        ({"document": {"contents": "half \ud800"}}, Passage("1", "", "half ?")),
    ],
)
async def test_documents_come_with_or_without_scores(entry: Any, passage: Passage) -> None:
    async with serving(saying(json.dumps({"result": [[entry]]}))) as url:
        assert await HttpRetriever(url).search("gold") == [passage]


async def test_no_documents_are_an_answer() -> None:
    async with serving(answering()) as url:
        assert await HttpRetriever(url).search("gold") == []


async def test_more_documents_than_were_asked_for_are_left_out() -> None:
    async with serving(answering(*[GOLD] * 9)) as url:
        assert len(await HttpRetriever(url, top_k=2).search("gold")) == 2


@pytest.mark.parametrize("codes", [(503,), (500, 429), (502, 504, 408)])
async def test_what_may_pass_is_tried_again_after_ever_longer_waits(codes: tuple[int, ...]) -> None:
    waits, (handler, asked) = Waits(), statuses(*codes)
    async with serving(handler) as url:
        assert len(await HttpRetriever(url, sleep=waits).search("gold")) == 1
    assert waits.seconds == [0.5, 1.0, 2.0][: len(codes)]
    assert len(asked) == len(codes) + 1


async def test_attempts_are_bounded_and_the_last_failure_is_told() -> None:
    waits, (handler, asked) = Waits(), statuses(*[503] * 9)
    async with serving(handler) as url:
        with pytest.raises(RetrievalError, match=r"/retrieve answered 503 'try later' \(7 attem"):
            await HttpRetriever(url, retries=6, sleep=waits).search("gold")
    assert waits.seconds == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert len(asked) == 7


@pytest.mark.parametrize("code", [400, 401, 404, 405, 302, 204])
async def test_what_will_not_pass_is_not_tried_again(code: int) -> None:
    waits, (handler, asked) = Waits(), statuses(*[code] * 9)
    async with serving(handler) as url:
        with pytest.raises(RetrievalError, match=f"is no retrieval server: it answered {code}"):
            await HttpRetriever(url, sleep=waits).search("gold")
    assert (waits.seconds, len(asked)) == ([], 1)


async def test_a_redirection_is_not_followed_even_to_a_good_server() -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        if request.path == "/moved":
            return await answering(GOLD)(request)
        return web.Response(status=307, headers={"Location": "/moved"})

    assert "is no retrieval server: it answered 307" in await refusal(elsewhere)


@pytest.mark.parametrize(
    "body",
    [
        "<html>Welcome</html>",
        "",
        "null",
        "[]",
        "{}",
        '{"result": []}',
        '{"result": [[], []]}',
        '{"result": null}',
        '{"result": ["x"]}',
        '{"result": [{"document": {"contents": "x"}}]}',
        '{"result": [[7]]}',
        '{"result": [[null]]}',
        '{"result": [[{"document": "x"}]]}',
        '{"result": [[{"document": null}]]}',
        b"\xff\xfe\x00",
        "[" * 100_000,
    ],
)
async def test_garbage_is_shown_beside_what_would_be_right(body: bytes | str) -> None:
    told = await refusal(saying(body))
    assert told.startswith("URL/retrieve is no retrieval server: it answered ")
    assert '{"result": [[{"document": {"contents": "..."}, "score": 1.0}]]}' in told
    assert len(told) < 700


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"id": "1"}, "document 1 of its answer is wrong: neither contents nor text among 'id'"),
        ({"contents": " "}, "document 1 of its answer is wrong: contents are ' '; they must be"),
        ({"contents": 7}, "document 1 of its answer is wrong: contents are 7; they must be"),
    ],
)
async def test_a_wrong_document_is_named(document: dict[str, Any], told: str) -> None:
    assert told in await refusal(answering(document))


@pytest.mark.parametrize("status", [200, 404, 503])
async def test_an_answer_of_ten_megabytes_is_not_read_to_its_end(status: int) -> None:
    sent = list[int]()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b"x" * (1 << 20))
            sent.append(1)
        return response

    told = await refusal(endless, top_k=3)
    assert told == (
        "URL/retrieve answered with more than 4 MiB for 3 passages; cut the corpus into shorter "
        "ones"
    )
    assert len(sent) < 100


async def test_a_server_that_is_down_is_told_with_the_command_that_starts_one() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    waits = Waits()
    with pytest.raises(RetrievalError) as raised:
        await HttpRetriever(url, retries=2, sleep=waits).search("gold")
    told = str(raised.value)
    assert "ssl" not in told
    assert told.startswith(f"no retrieval server answers at {url}/retrieve (")
    assert "start one with: slime-search-r1 serve --index DIR --port PORT (3 attempts)" in told
    assert len(waits.seconds) == 2


async def test_a_silent_server_costs_no_more_than_its_time() -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    assert await refusal(silent, timeout_s=0.2) == (
        "URL/retrieve did not answer within 0.2 s (1 attempt)"
    )


async def test_a_server_that_drips_costs_no_more_either() -> None:
    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(600):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    assert "did not answer within 0.3 s" in await refusal(dripping, timeout_s=0.3)


async def test_an_answer_that_breaks_off_is_tried_again() -> None:
    calls = list[int]()

    async def breaking(request: web.Request) -> web.StreamResponse:
        calls.append(1)
        if len(calls) > 1:
            return await answering(GOLD)(request)
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(breaking) as url:
        assert len(await HttpRetriever(url, sleep=Waits()).search("gold")) == 1


async def test_a_port_that_speaks_no_http_is_told() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        with pytest.raises(RetrievalError, match=r"the answer broke off|no retrieval server"):
            await HttpRetriever(url, retries=1, sleep=Waits()).search("gold")
    finally:
        server.close()


async def test_searches_wait_for_their_turn_and_the_wait_is_not_the_server_s() -> None:
    now, most = [0], [0]

    async def slow(request: web.Request) -> web.StreamResponse:
        now[0] += 1
        most[0] = max(most[0], now[0])
        await asyncio.sleep(0.1)
        now[0] -= 1
        return await answering(GOLD)(request)

    async def together(url: str) -> None:
        # A loop of its own, where no pool is open yet.
        retriever = HttpRetriever(url, connections=4, timeout_s=0.3, retries=0)
        await asyncio.gather(*(retriever.search(str(n)) for n in range(24)))

    async with serving(slow) as url:
        await asyncio.to_thread(asyncio.run, together(url))
    assert most[0] == 4


async def test_all_searches_of_a_process_share_their_connections() -> None:
    peers = set[Any]()

    async def noting(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await answering(GOLD)(request)

    async with serving(noting) as url:
        for _ in range(20):
            await HttpRetriever(url).search("gold")
    assert len(peers) == 1


def test_connections_are_closed_with_the_event_loop(recwarn: pytest.WarningsRecorder) -> None:
    sessions = list[Any]()

    async def run() -> None:
        async with serving(answering(GOLD)) as url:
            await HttpRetriever(url).search("gold")
            await HttpRetriever(url).search("gold")
            sessions.extend(pool.session for pool in client._pools.values())
            assert len(client._pools) == 1

    for _ in range(3):
        asyncio.run(run())
    assert client._pools == {}
    assert len({id(session) for session in sessions}) == 3
    assert all(session.closed for session in sessions)
    assert [str(w.message) for w in recwarn if "nclosed" in str(w.message)] == []


async def test_a_cancelled_search_gives_its_turn_back() -> None:
    gate = asyncio.Event()

    async def waiting(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await answering(GOLD)(request)

    async def body(url: str) -> int:
        retriever = HttpRetriever(url, connections=1, retries=0, timeout_s=5)
        task = asyncio.ensure_future(retriever.search("gold"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        main.call_soon_threadsafe(gate.set)
        return len(await retriever.search("gold"))

    main = asyncio.get_running_loop()
    async with serving(waiting) as url:
        assert await asyncio.to_thread(asyncio.run, body(url)) == 1


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (saying("hello"), "is no retrieval server: it answered 'hello'"),
        (saying("gone", 404), "is no retrieval server: it answered 404 'gone'"),
        (saying("busy", 503), r"answered 503 'busy' \(1 attempt\)"),
    ],
)
async def test_a_probe_without_an_event_loop_tells_it_as_a_setting(
    handler: Handler, told: str
) -> None:
    async with serving(handler) as url:
        with pytest.raises(ConfigError, match=rf"search_r1\.url: .*{told}"):
            await asyncio.to_thread(HttpRetriever(url, retries=0).probe)


async def test_a_probe_of_a_good_server_is_silent_within_a_loop_and_without() -> None:
    async with serving(answering()) as url:
        await asyncio.to_thread(HttpRetriever(url).probe)

        async def within() -> None:
            HttpRetriever(url).probe()

        await asyncio.to_thread(asyncio.run, within())
    assert all(not loop.is_closed() for loop in client._pools)
