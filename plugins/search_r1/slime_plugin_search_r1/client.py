"""A client of any server with Search-R1's ``/retrieve``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, final

import aiohttp
from slime_hookspecs import ConfigError

from slime_plugin_search_r1.passages import Passage, RetrievalError
from slime_plugin_search_r1.wire import MAX_ANSWER_BYTES, PATH, question, read_answer

#: Seconds before the first retry; doubled before each that follows, up to ``LONGEST_WAIT_S``.
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 8.0
#: Statuses that may be another the next time.
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

HINT: Final = "start one with: slime-search-r1 serve --index DIR --port PORT"


class _PassingError(RetrievalError):
    """What may be over the next time."""


@final
@dataclass(frozen=True, slots=True)
class _Pool:
    """The connections of one event loop.

    Attributes:
        session: Holds them.
        turns: Lets in as many searches as there may be at once. The time that a search waits here
            is not the server's.
        keeper: Closes the session with the event loop.
    """

    session: aiohttp.ClientSession
    turns: asyncio.Semaphore
    keeper: AsyncGenerator[aiohttp.ClientSession, None]


_pools: Final[dict[asyncio.AbstractEventLoop, _Pool]] = {}


@final
class HttpRetriever:
    """Asks a server.

    Args:
        url: Its base, or all of ``.../retrieve``.
        top_k: Passages that a search finds.
        timeout_s: Seconds that an answer may take.
        retries: Times that a search is sent again.
        connections: Most searches of the process under way at once.
        sleep: Waits between them.
    """

    def __init__(
        self,
        url: str,
        *,
        top_k: int = 3,
        timeout_s: float = 30.0,
        retries: int = 3,
        connections: int = 64,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.url = url.rstrip("/").removesuffix(PATH) + PATH
        self._top_k = top_k
        self._timeout_s = timeout_s
        self._retries = retries
        self._connections = connections
        self._sleep = sleep

    async def search(self, query: str) -> Sequence[Passage]:
        """The best passages for a query, the best first.

        Raises:
            RetrievalError: the server does not answer, or with something else than passages.
        """
        wait_s, retried = FIRST_WAIT_S, 0
        while True:
            try:
                return await self._ask(query)
            except _PassingError as error:
                if retried == self._retries:
                    tries = f"{retried + 1} attempt{'s' if retried else ''}"
                    raise RetrievalError(f"{error} ({tries})") from error
            await self._sleep(wait_s)
            wait_s, retried = min(2 * wait_s, LONGEST_WAIT_S), retried + 1

    def probe(self) -> None:
        """Ask once, without an event loop.

        Raises:
            ConfigError: no retrieval server is there.
        """
        with ThreadPoolExecutor(1) as thread:
            try:
                thread.submit(asyncio.run, self.search("test")).result()
            except RetrievalError as error:
                raise ConfigError(f"search_r1.url: {error}") from error

    async def _ask(self, query: str) -> list[Passage]:
        pool = await _pool(self._connections)
        async with pool.turns:
            try:
                async with asyncio.timeout(self._timeout_s):
                    body = await self._post(pool.session, query)
            except TimeoutError:
                raise _PassingError(
                    f"{self.url} did not answer within {self._timeout_s:g} s"
                ) from None
            except aiohttp.ClientConnectionError as error:
                raise _PassingError(
                    f"no retrieval server answers at {self.url} "
                    f"({getattr(error, 'os_error', error)}); {HINT}"
                ) from error
            except aiohttp.ClientError as error:
                what = f"{type(error).__name__}: {error}"
                raise _PassingError(f"{self.url}: the answer broke off ({what})") from error
        try:
            return read_answer(body, self._top_k)
        except RetrievalError as error:
            raise RetrievalError(f"{self.url} is no retrieval server: {error}") from error

    async def _post(self, session: aiohttp.ClientSession, query: str) -> bytes:
        asked = question(query, self._top_k)
        async with session.post(self.url, json=asked, allow_redirects=False) as response:
            body = await _read(response)
        if len(body) > MAX_ANSWER_BYTES:
            raise RetrievalError(
                f"{self.url} answered with more than {MAX_ANSWER_BYTES >> 20} MiB for "
                f"{self._top_k} passages; cut the corpus into shorter ones"
            )
        if response.status in PASSING:
            raise _PassingError(f"{self.url} answered {_told(response.status, body)}")
        if response.status != 200:
            told = _told(response.status, body)
            raise RetrievalError(f"{self.url} is no retrieval server: it answered {told}")
        return body


async def _pool(connections: int) -> _Pool:
    """The connections of this event loop, which are closed when it shuts down."""
    loop = asyncio.get_running_loop()
    if loop not in _pools:
        keeper = _keep(loop)
        # Nothing is awaited in there, so that no other task comes between.
        session = await anext(keeper)
        _pools[loop] = _Pool(session, asyncio.Semaphore(connections), keeper)
    return _pools[loop]


async def _keep(
    loop: asyncio.AbstractEventLoop,
) -> AsyncGenerator[aiohttp.ClientSession, None]:
    """A session until the loop shuts down: then it ends all asynchronous generators that are left.

    A plugin is not told in the rollout process that the run is over.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
    )
    try:
        yield session
    finally:
        _pools.pop(loop, None)
        await session.close()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The answer, no further than is needed to see that it is too long."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            break
    return bytes(body)


def _told(status: int, body: bytes) -> str:
    text = " ".join(body[:500].decode(errors="replace").split())
    return f"{status} {text[:120]!r}" if text else str(status)
