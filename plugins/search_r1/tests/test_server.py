"""The BM25 server: what it answers, how it looks up, how it starts and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slime_hookspecs import StopReason
from slime_hookspecs.testing.kit import ScriptedEngine, make_run
from slime_plugin_search_r1 import (
    Options,
    slime_data_source,
    slime_generate,
    slime_reward,
)
from slime_plugin_search_r1.client import HttpRetriever
from slime_plugin_search_r1.conformance import FACTS, QUESTIONS, REPLIES
from slime_plugin_search_r1.corpus import Corpus
from slime_plugin_search_r1.index import Index, build
from slime_plugin_search_r1.server import Batcher, application

COMMAND = str(Path(sys.executable).with_name("slime-search-r1"))

RIVER = {"queries": ["longest river"], "topk": 1, "return_scores": True}


@pytest.fixture(scope="module")
def index() -> Index:
    return build(Corpus(FACTS))


@pytest.fixture(scope="module")
def folder(index: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "index"
    index.save(path)
    return path


@contextlib.asynccontextmanager
async def running(index: Index) -> AsyncIterator[str]:
    runner = web.AppRunner(application(index), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def post(url: str, body: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with aiohttp.ClientSession() as session, session.post(f"{url}/retrieve", data=data) as r:
        text = await r.text()
        return r.status, json.loads(text) if "json" in r.content_type else text


@contextlib.contextmanager
def started(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command as a process of its own, and its URL."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--index", str(folder), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield process, line.rpartition(" ")[2].strip().removesuffix("/retrieve")
    finally:
        process.kill()
        process.communicate()


async def test_a_query_is_answered_in_search_r1_s_form(index: Index) -> None:
    async with running(index) as url:
        status, found = await post(url, RIVER)
    (entry,) = found["result"][0]
    assert status == 200
    assert list(entry) == ["document", "score"]
    assert entry["document"] == {
        "id": "fact-3",
        "title": "Tielle",
        "contents": '"Tielle"\nThe Tielle is the longest river of Varnland. It is 312 kilometres '
        "long and rises on Mount Hask.",
    }
    assert entry["score"] == pytest.approx(index.search("longest river", 1)[0][1])


async def test_without_scores_the_documents_come_bare(index: Index) -> None:
    async with running(index) as url:
        _, found = await post(url, {"queries": ["longest river"], "topk": 2})
    assert [list(one) for one in found["result"][0]] == [["id", "title", "contents"]] * 2


async def test_each_query_has_a_list_of_its_own_in_their_order(index: Index) -> None:
    queries = ["heron", "zzyzx", "longest river", "heron"]
    async with running(index) as url:
        _, found = await post(url, {"queries": queries, "topk": 3, "return_scores": True})
        _, nothing = await post(url, {"queries": [], "topk": 3})
    titles = [[one["document"]["title"] for one in hits] for hits in found["result"]]
    assert titles == [[p.title for p, _ in index.search(query, 3)] for query in queries]
    assert titles[1] == []
    assert nothing == {"result": []}


async def test_three_passages_are_found_where_no_number_is_asked_for(index: Index) -> None:
    async with running(index) as url:
        for body in ({"queries": ["Varnland"]}, {"queries": ["Varnland"], "topk": None}):
            _, found = await post(url, body)
            assert len(found["result"][0]) == 3


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{nonsense", "Expecting property name"),
        (b"\xff", "can't decode"),
        ([], "the body must be a JSON object"),
        ({}, "queries is None; it must be a list of texts"),
        ({"queries": "gold"}, "queries is 'gold'; it must be a list of texts"),
        ({"queries": ["gold", 7]}, "queries is ['gold', 7]; it must be a list of texts"),
        ({"queries": ["x"] * 1001}, "1001 queries at once; 1000 are allowed"),
        ({"queries": ["x"], "topk": 0}, "topk is 0; it must be a number from 1 to 100"),
        ({"queries": ["x"], "topk": 101}, "topk is 101; it must be a number from 1 to 100"),
        ({"queries": ["x"], "topk": "3"}, "topk is '3'; it must be a number from 1 to 100"),
        ({"queries": ["x"], "topk": True}, "topk is True; it must be a number from 1 to 100"),
    ],
)
async def test_a_malformed_request_is_told_what_is_wrong(
    index: Index, body: Any, told: str
) -> None:
    async with running(index) as url:
        status, found = await post(url, body)
        assert (status, told in found["error"]) == (400, True), found
        assert (await post(url, RIVER))[0] == 200


async def test_a_request_of_ten_megabytes_is_refused(index: Index) -> None:
    async with running(index) as url:
        status, _ = await post(url, b'{"queries": ["' + b"x" * 10_000_000 + b'"]}')
        assert status == 413
        assert (await post(url, RIVER))[0] == 200


async def test_health_tells_how_many_passages_there_are(index: Index) -> None:
    async with (
        running(index) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/health") as response,
    ):
        assert await response.json() == {"status": "ok", "passages": 36}


async def test_queries_that_come_together_are_looked_up_together_and_once(index: Index) -> None:
    looked_up, gate = list[str](), threading.Event()

    class Slow:
        def search(self, query: str, top_k: int) -> Any:
            gate.wait(5)
            looked_up.append(query)
            return index.search(query, top_k)

    batcher = Batcher(Slow())  # type: ignore[arg-type]
    task = asyncio.ensure_future(batcher.run())
    queries = ["first", *["heron", "river", "eel"] * 20]
    searches = [asyncio.ensure_future(batcher.search(query, 1)) for query in queries[:1]]
    await asyncio.sleep(0.01)
    searches += [asyncio.ensure_future(batcher.search(query, 1)) for query in queries[1:]]
    await asyncio.sleep(0.01)
    gate.set()
    found = await asyncio.gather(*searches)
    task.cancel()
    assert batcher.batches == 2
    assert sorted(looked_up) == ["eel", "first", "heron", "river"]
    assert found == [index.search(query, 1) for query in queries]


async def test_a_lookup_that_fails_fails_its_requests_and_no_others(index: Index) -> None:
    class Fails:
        def __len__(self) -> int:
            return 1

        def search(self, query: str, top_k: int) -> Any:
            if query == "bad":
                raise OSError("disk")
            return index.search(query, top_k)

    async with running(Fails()) as url:  # type: ignore[arg-type]
        assert (await post(url, {"queries": ["bad"]}))[0] == 500
        assert (await post(url, RIVER))[0] == 200


async def test_a_client_that_leaves_disturbs_nobody(index: Index) -> None:
    batcher = Batcher(index)
    left = asyncio.ensure_future(batcher.search("heron", 1))
    stayed = asyncio.ensure_future(batcher.search("heron", 1))
    await asyncio.sleep(0)
    left.cancel()
    task = asyncio.ensure_future(batcher.run())
    assert await stayed == index.search("heron", 1)
    task.cancel()


async def test_hundreds_of_clients_at_once_get_what_each_asked_for(index: Index) -> None:
    words = ["heron", "river", "eel", "Sorrel", "comet", "porcelain", "cobalt"]
    async with running(index) as url:
        retriever = HttpRetriever(url, top_k=1, retries=0)
        found = await asyncio.gather(*(retriever.search(words[n % 7]) for n in range(400)))
    assert found == [[index.search(words[n % 7], 1)[0][0]] for n in range(400)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_in_good_order(folder: Path, number: int) -> None:
    with started(folder) as (process, url):
        assert (await post(url, RIVER))[0] == 200
        process.send_signal(number)
        out, err = await asyncio.to_thread(process.communicate, timeout=10)
    assert process.returncode == 0
    assert (out, err) == ("", "slime-search-r1: stopped\n")
    with pytest.raises(aiohttp.ClientConnectionError):
        await post(url, RIVER)


async def test_a_request_under_way_is_answered_before_the_end(folder: Path) -> None:
    queries = [f"Varnland river heron lighthouse {n}" for n in range(1000)]
    with started(folder) as (process, url):
        under_way = asyncio.ensure_future(post(url, {"queries": queries, "topk": 100}))
        await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert not under_way.done()
        status, found = await under_way
        await asyncio.to_thread(process.wait, 10)
    assert (status, len(found["result"]), process.returncode) == (200, 1000, 0)


async def test_it_listens_on_loopback_only(folder: Path) -> None:
    with started(folder) as (_, url):
        assert url.startswith("http://127.0.0.1:")
        port = int(url.rpartition(":")[2])
        others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), port)}
        for host in others - {"127.0.0.1", "::1"}:
            with pytest.raises(OSError, match=r"."), socket.create_connection((host, port), 1):
                pass


def test_a_port_in_use_is_told_with_status_2(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = subprocess.run(
            [COMMAND, "serve", "--index", str(folder), "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert found.returncode == 2
    assert found.stderr.startswith(f"slime-search-r1: error: cannot listen on 127.0.0.1:{port} (")


async def test_an_episode_searches_a_server_in_a_process_of_its_own(folder: Path) -> None:
    with started(folder) as (_, url):
        options = Options(data=[str(QUESTIONS)], url=url, top_k=1, timeout_s=5)
        run = make_run(max_response_tokens=2000)
        source = await asyncio.to_thread(slime_data_source, options, run)
        from slime_hookspecs import Context, Sample

        engine, ctx = ScriptedEngine(REPLIES), Context(run, options)
        sample = Sample(0, 0, source.take(1)[0])
        start = time.monotonic()
        assert await slime_generate(sample, engine, ctx) is sample
        assert time.monotonic() - start < 5
    assert sample.stop is StopReason.STOP
    assert sample.metadata["search_r1"] == {"searches": 2, "mistakes": 2, "well_formed": False}
    text = engine.decode(sample.trace.response_tokens)
    assert "Doc 1 (Title: Tielle): The Tielle is the longest river" in text
    assert "<information>Nothing was found. Try other words.</information>" in text
    sample.response = engine.decode(sample.trace.last_turn)
    sample.prompt.label[:] = ["312 km", "312 kilometres"]
    assert (await slime_reward(sample, ctx)).value == 1.0
