"""An answer as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

from aiohttp import web

from slime_core.gateway.conversation import Turn
from slime_core.gateway.dialects import Dialect
from slime_core.gateway.errors import ApiError, told

#: Seconds between two signs of life in a stream whose answer is not there yet.
KEEP_ALIVE_S: Final = 10.0

Events: TypeAlias = Callable[[list[Turn]], Iterable[dict[str, Any]]]


async def send(
    request: web.Request,
    dialect: Dialect,
    work: Awaitable[list[Turn]],
    events: Events,
    failed: Callable[[ApiError], None],
) -> web.StreamResponse:
    """Send the answer as events once it is whole: only then is it known what is a call.

    Args:
        request: Who asks.
        dialect: The API that it speaks.
        work: Writes the answer; ended where the client leaves.
        events: The answer in pieces.
        failed: Told when there is no answer, and it is too late for a status.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=KEEP_ALIVE_S)
        if task.done():
            task.result()  # What fails at once has a status of its own.
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while not task.done():
            await response.write(b": waiting\n\n")
            await asyncio.wait([task], timeout=KEEP_ALIVE_S)
        if error := task.exception():
            failed(answer := told(error, f"{request.method} {request.path}"))
            await response.write(dialect.event(dialect.error(answer)))
        for event in () if error else events(task.result()):
            await response.write(dialect.event(event))
        await response.write(dialect.end)
        await response.write_eof()
        return response
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
