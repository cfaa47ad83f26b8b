"""A small HTTP server that answers what a test tells it to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web

Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]]


@dataclass
class StandIn:
    """Answers requests with ``replies`` in turn, the last one again and again, and remembers them.

    A reply is (status, JSON or text, headers if any), a function of the request's JSON that makes
    one, or ``None`` to break the connection. Requests to end a request are answered apart.
    """

    url: str = ""
    replies: list[Reply | Callable[[Any], Reply] | None] = field(default_factory=list)
    requests: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    delay: Any = None

    async def answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body = orjson.loads(raw) if raw else None
        self.requests.append((request.path, body))
        self.headers.append(dict(request.headers))
        if self.delay is not None and request.path == "/generate":
            await self.delay.wait()
        reply = self._next(request.path)
        if reply is None:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        status, value, *rest = reply(body) if callable(reply) else reply
        headers = dict(*rest)
        if isinstance(value, str):
            return web.Response(status=status, text=value, headers=headers)
        headers["Content-Type"] = "application/json"
        return web.Response(status=status, body=orjson.dumps(value), headers=headers)

    def _next(self, path: str) -> Any:
        if path == "/abort_request":
            return 200, ""
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    """A running stand-in."""
    stand_in = StandIn()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stand_in.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server = runner.addresses[0]
    stand_in.url = f"http://127.0.0.1:{server[1]}"
    yield stand_in
    await runner.cleanup()
