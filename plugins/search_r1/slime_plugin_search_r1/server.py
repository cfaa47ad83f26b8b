"""A BM25 server with Search-R1's ``/retrieve``, over an index in this process."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, final

from aiohttp import web
from slime_hookspecs import ConfigError

from slime_plugin_search_r1.index import Hit, Index
from slime_plugin_search_r1.options import MAX_TOP_K

MAX_QUERIES: Final = 1000
MAX_BODY_BYTES: Final = 4 << 20
#: Queries that are looked up in one go, in a thread.
BATCH: Final = 64
#: Seconds that requests under way have to end when the server stops.
FAREWELL_S: Final = 10.0

Job: TypeAlias = tuple[str, int, "asyncio.Future[list[Hit]]"]


@final
class Batcher:
    """Collects the queries of all requests and looks them up together, each only once.

    Args:
        index: What to search.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self.batches = 0
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()

    async def search(self, query: str, top_k: int) -> list[Hit]:
        """The best passages with their scores."""
        future: asyncio.Future[list[Hit]] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait((query, top_k, future))
        return await future

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            jobs = [await self._jobs.get()]
            while not self._jobs.empty() and len(jobs) < BATCH:
                jobs.append(self._jobs.get_nowait())
            self.batches += 1
            asked = {(query, top_k) for query, top_k, _ in jobs}
            try:
                found = await asyncio.to_thread(self._look_up, asked)
            except Exception as error:
                _settle(jobs, dict.fromkeys(asked, error))
            else:
                _settle(jobs, found)

    def _look_up(self, asked: set[tuple[str, int]]) -> dict[tuple[str, int], list[Hit]]:
        return {one: self.index.search(*one) for one in asked}


def application(index: Index) -> web.Application:
    """The server's application: ``POST /retrieve`` and ``GET /health``."""
    batcher = Batcher(index)

    async def retrieve(request: web.Request) -> web.Response:
        try:
            queries, top_k, scores = _read(await request.read())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        found = await asyncio.gather(*(batcher.search(query, top_k) for query in queries))
        return web.json_response({"result": [_listed(hits, scores) for hits in found]})

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "passages": len(index)})

    async def lookups(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(batcher.run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.cleanup_ctx.append(lookups)
    app.add_routes([web.post("/retrieve", retrieve), web.get("/health", health)])
    return app


async def serve(index: Index, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first.

    Args:
        index: What to search.
        host: Address to listen on.
        port: Port; 0 is any that is free.
        say: Told the URL when it listens.

    Raises:
        ConfigError: the address or the port is not to be had.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(application(index), access_log=None, shutdown_timeout=FAREWELL_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port} ({error})") from error
        say(f"http://{host}:{runner.addresses[0][1]}")
        await stop.wait()
    finally:
        await runner.cleanup()


def _read(body: bytes) -> tuple[list[str], int, bool]:
    """Queries, how many passages for each, and whether scores are wanted.

    Raises:
        ValueError: the request is malformed.
    """
    asked: Any = json.loads(body)
    if not isinstance(asked, dict):
        raise ValueError("the body must be a JSON object")
    queries, top_k = asked.get("queries"), asked.get("topk")
    if not isinstance(queries, list) or not all(isinstance(one, str) for one in queries):
        raise ValueError(f"queries is {queries!r:.80}; it must be a list of texts")
    if len(queries) > MAX_QUERIES:
        raise ValueError(f"{len(queries)} queries at once; {MAX_QUERIES} are allowed")
    top_k = 3 if top_k is None else top_k
    if not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= MAX_TOP_K:
        raise ValueError(f"topk is {top_k!r:.80}; it must be a number from 1 to {MAX_TOP_K}")
    return queries, top_k, bool(asked.get("return_scores"))


def _listed(hits: list[Hit], scores: bool) -> list[dict[str, Any]]:
    documents = [{"id": one.id, "title": one.title, "contents": one.contents} for one, _ in hits]
    if not scores:
        return documents
    return [
        {"document": document, "score": score}
        for document, (_, score) in zip(documents, hits, strict=True)
    ]


def _settle(jobs: Sequence[Job], results: Mapping[tuple[str, int], list[Hit] | Exception]) -> None:
    for query, top_k, future in jobs:
        found = results[query, top_k]
        if future.done():
            continue  # The client left meanwhile.
        if isinstance(found, Exception):
            future.set_exception(found)
        else:
            future.set_result(found)
