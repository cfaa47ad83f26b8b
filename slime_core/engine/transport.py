"""Sends JSON to the router, and sends it again where a server failed at it.

Two things can go wrong. A request is *lost* where a server had it and failed: it broke off, took
too long, or answered with a 5xx or what cannot be read. That may happen ``retries`` times. Or
*nobody takes it*, because the server or the router is being started anew: it waits for them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, final

import aiohttp
import orjson
from slime_hookspecs.errors import EngineError

from slime_core.engine.patience import Patience

FIRST_BACKOFF_S: Final = 0.2
LAST_BACKOFF_S: Final = 10.0
#: Most seconds between two looks whether somebody takes a request.
LOOK_S: Final = 2.0
#: A server that had a request for so long did take it.
TAKEN_S: Final = 1.0

#: Codes of the router: the server that it chose does not answer; it has no server at all.
UNREACHABLE: Final = "call_upstream_request_error"
NO_SERVER: Final = "no_available_workers"
CODE: Final = "x-smg-error-code"

_JSON: Final = {"Content-Type": "application/json"}
_TRANSIENT: Final = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)

Kind: TypeAlias = Literal["answered", "final", "lost", "unreachable", "untaken"]


@final
@dataclass(frozen=True, slots=True)
class _Try:
    """What came of sending a request once; ``content`` is the answer or says what is wrong."""

    kind: Kind
    content: Any
    status: int = 0
    taken: bool = False


@final
@dataclass(slots=True)
class _Course:
    """What became of one request so far, and whether it goes out again."""

    retries: int
    patience: Patience
    lost: int = 0
    waits_until: float = 0.0
    look_s: float = 0.0
    before: Kind | None = None

    def pause_s(self, found: _Try) -> float | None:
        """Seconds until it goes out again; ``None`` where it does not.

        Raises:
            EngineError: the run's budget is spent.
        """
        before, self.before = self.before, found.kind
        if found.kind == "final":
            return None
        # The router goes on to name a server that is gone, until it is told.
        again = found.kind == "unreachable" and before == "unreachable" and not found.taken
        if found.kind == "untaken" or again:
            return self._wait()
        self.lost += 1
        self.waits_until = 0.0
        if self.lost > self.retries:
            return None
        self.patience.redone.one_more()
        return _backoff_s(self.lost)

    def complaint(self, found: _Try) -> str:
        """What is said of a request that does not go out again, after its URL."""
        tries = self.lost + (found.kind != "lost" and bool(self.waits_until))
        times = f" after {tries} tries" if tries > 1 else ""
        if found.status == 200:
            return f"{times}: {found.content}"
        said = f"status {found.status}" if found.status else "no answer"
        waits = bool(self.waits_until) and found.kind != "final"
        waited = f" in {self.patience.wait_s:g} s (--engine-wait-s)" if waits else ""
        return f": {said}{waited}{times}: {found.content}"

    def _wait(self) -> float | None:
        now = time.monotonic()
        if not self.waits_until:
            self.waits_until, self.look_s = now + self.patience.wait_s, FIRST_BACKOFF_S
        if now > self.waits_until:
            return None
        pause_s = random.uniform(0.5, 1.0) * self.look_s
        self.look_s = min(LOOK_S, 2.0 * self.look_s)
        return pause_s


@final
class RefusedError(EngineError):
    """A server refused the request itself, with status 400.

    Args:
        message: What was asked of whom, and what was answered.
        reason: The server's own words.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


@final
class Transport:
    """One pool of connections, made when first used, for all requests of a process.

    Args:
        base_url: URL of the router.
        retries: Times that one request may be lost and is sent again. A 4xx answer is about the
            request itself, so it is final.
        patience: How long requests may take and wait.
    """

    def __init__(self, base_url: str, retries: int, patience: Patience | None = None) -> None:
        self._base_url = base_url
        self._retries = retries
        self._patience = patience or Patience()
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The pool itself."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=self._patience.request_s, sock_connect=30),
                headers=_JSON,
                auto_decompress=False,
                skip_auto_headers=("Accept-Encoding",),
            )
        return self._session

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        before_retry: Callable[[], None] | None = None,
        read: Callable[[Any], Any] | None = None,
    ) -> Any:
        """POST JSON and return the JSON of the answer.

        Args:
            path: Path at the router.
            body: What to send; encoded anew at each try.
            headers: Further headers.
            before_retry: Called before each further try that a server may know of; may change
                ``body``.
            read: Makes the result of the answer's JSON; raises ``EngineError`` where it cannot.

        Raises:
            RefusedError: the answer was 400.
            EngineError: no good answer, with the last status and text.
        """
        course = _Course(self._retries, self._patience)
        while True:
            found = await self._try(path, orjson.dumps(body), headers, read)
            if found.kind == "answered":
                return found.content
            pause_s = course.pause_s(found)
            if pause_s is None:
                message = f"POST {self._base_url}{path}{course.complaint(found)}"
                if found.status == 400:
                    raise RefusedError(message, _reason(found.content))
                raise EngineError(message)
            await asyncio.sleep(pause_s)
            if before_retry and found.kind != "untaken":
                before_retry()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _try(
        self,
        path: str,
        data: bytes,
        headers: Mapping[str, str] | None,
        read: Callable[[Any], Any] | None,
    ) -> _Try:
        began = time.monotonic()
        try:
            url = self._base_url + path
            async with self.session.post(url, data=data, headers=headers) as response:
                status, content = response.status, await response.read()
                code = response.headers.get(CODE)
        except aiohttp.ClientConnectorError as error:
            return _Try("untaken", repr(error))
        except _TRANSIENT as error:
            return _Try("lost", repr(error))
        if 200 <= status < 300:
            return _answer(path, content, read)
        text = content.decode(errors="replace")[:2000]
        return _Try(_kind(status, code), text, status, time.monotonic() - began > TAKEN_S)


def _kind(status: int, code: str | None) -> Kind:
    if code == UNREACHABLE:
        return "unreachable"
    if code == NO_SERVER:
        return "untaken"
    return "final" if 400 <= status < 500 else "lost"


def _backoff_s(attempt: int) -> float:
    longest = min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (attempt - 1))
    return longest * random.uniform(0.5, 1.0)


def _answer(path: str, content: bytes, read: Callable[[Any], Any] | None) -> _Try:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        text = content[:500].decode(errors="replace")
        return _Try("lost", f"the answer is not JSON: {text}", 200)
    try:
        return _Try("answered", read(value) if read else value)
    except EngineError as error:
        return _Try("lost", str(error), 200)


def _reason(text: str) -> str:
    """The message in a server's refusal, or all of it where that is not SGLang's JSON."""
    try:
        return str(orjson.loads(text)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return text
