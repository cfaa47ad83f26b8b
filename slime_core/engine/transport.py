"""Sends JSON to the router and sends it again when no server answered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, Final, final

import aiohttp
import orjson
from slime_hookspecs.errors import EngineError

FIRST_BACKOFF_S: Final = 0.2
LAST_BACKOFF_S: Final = 10.0

_JSON: Final = {"Content-Type": "application/json"}
_TRANSIENT: Final = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)


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
        retries: Times that a request is sent again after a broken connection or a 5xx answer. A 4xx
            answer is about the request itself, so it is final.
    """

    def __init__(self, base_url: str, retries: int) -> None:
        self._base_url = base_url
        self._retries = retries
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The pool itself."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
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
    ) -> Any:
        """POST JSON and return the JSON of the answer.

        Args:
            path: Path at the router.
            body: What to send; encoded anew at each try.
            headers: Further headers.
            before_retry: Called before each further try; may change ``body``.

        Raises:
            RefusedError: the answer was 400.
            EngineError: no 2xx answer, with the last status and text.
        """
        for attempt in range(self._retries + 1):
            if attempt:
                await asyncio.sleep(_backoff_s(attempt))
                if before_retry:
                    before_retry()
            status, content = await self._try(path, orjson.dumps(body), headers)
            if 200 <= status < 300:
                return _parsed(path, content)
            if 400 <= status < 500:
                break
        text = content.decode(errors="replace")[:2000]
        tries = f" after {attempt + 1} tries" if attempt else ""
        found = f"status {status}" if status else "no answer"
        message = f"POST {self._base_url}{path}: {found}{tries}: {text}"
        raise RefusedError(message, _reason(text)) if status == 400 else EngineError(message)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _try(
        self, path: str, data: bytes, headers: Mapping[str, str] | None
    ) -> tuple[int, bytes]:
        """Status and content; status 0 and the error's text where no answer came."""
        try:
            url = self._base_url + path
            async with self.session.post(url, data=data, headers=headers) as response:
                return response.status, await response.read()
        except _TRANSIENT as error:
            return 0, repr(error).encode()


def _backoff_s(attempt: int) -> float:
    longest = min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (attempt - 1))
    return longest * random.uniform(0.5, 1.0)


def _parsed(path: str, content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        text = content[:500].decode(errors="replace")
        raise EngineError(f"POST {path}: the answer is not JSON: {text}") from error


def _reason(text: str) -> str:
    """The message in a server's refusal, or all of it where that is not SGLang's JSON."""
    try:
        return str(orjson.loads(text)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return text
