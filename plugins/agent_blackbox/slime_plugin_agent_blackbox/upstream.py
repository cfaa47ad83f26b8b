"""One HTTP request to the gateway, on a connection of its own that ends with it.

Each sample has a URL of its own, of which larger clients keep hundreds in caches.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final, final

from slime_hookspecs import EngineError

CHUNK: Final = 1 << 16


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP status.
        headers: By name in lower case.
        parts: The body as it comes.
    """

    status: int
    headers: Mapping[str, str]
    parts: AsyncIterator[bytes]


@contextlib.asynccontextmanager
async def asked(
    method: str, url: str, headers: Mapping[str, str], body: bytes
) -> AsyncIterator[Answer]:
    """Send a request; its connection is closed in the end, which tells the gateway to stop.

    Raises:
        EngineError: the gateway cannot be reached, or does not speak HTTP.
    """
    # Not urlsplit, which keeps what it parsed.
    netloc, _, path = url.partition("://")[2].partition("/")
    host, _, port = netloc.partition(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port or 80), limit=1 << 20)
    except OSError as error:
        raise EngineError(f"the gateway at {url} cannot be reached: {error}") from error
    try:
        lines = [f"{method} /{path} HTTP/1.1", f"Host: {netloc}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        writer.write("\r\n".join(lines).encode("utf-8", "surrogateescape") + body)
        await writer.drain()
        yield await _answer(reader)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise EngineError(
            f"the gateway broke off its answer: {type(error).__name__}: {error}"
        ) from error
    except (ValueError, IndexError) as error:
        raise EngineError(f"the gateway did not answer in HTTP: {error}") from error
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "surrogateescape")
    first, *lines = head.rstrip().split("\r\n")
    named = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in named}
    return Answer(int(first.split(" ")[1]), headers, _parts(reader, headers))


async def _parts(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
    elif "content-length" in headers:
        left = int(headers["content-length"])
        while left:
            part = await reader.readexactly(min(left, CHUNK))
            left -= len(part)
            yield part
    else:
        while part := await reader.read(CHUNK):
            yield part
