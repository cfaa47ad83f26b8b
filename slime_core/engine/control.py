"""What is asked of a server itself rather than of the router: one place for the requests' shapes.

A ``Call`` says what to ask; ``send`` asks and waits, ``send_to_all`` asks several servers at once
from an event loop.
"""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, final
from urllib.parse import urlsplit

import aiohttp
import orjson
from slime_hookspecs.errors import EngineError

JSON = {"Content-Type": "application/json"}
CONTROL_TIMEOUT_S = 600.0

PauseMode = Literal["abort", "retract", "in_place"]
CheckAction = Literal["snapshot", "compare", "reset_tensors", "checksum"]


@final
@dataclass(frozen=True, slots=True)
class Call:
    """One request to a server. ``body`` is ``None`` for a GET."""

    path: str
    body: Mapping[str, Any] | None = field(default_factory=dict)
    delete: bool = False

    @property
    def method(self) -> str:
        """``GET``, ``POST`` or ``DELETE``."""
        if self.delete:
            return "DELETE"
        return "GET" if self.body is None else "POST"


HEALTH = Call("/health", None)
MODEL_INFO = Call("/model_info", None)
SERVER_INFO = Call("/server_info", None)
FLUSH_CACHE = Call("/flush_cache")
ABORT_ALL = Call("/abort_request", {"abort_all": True})
CONTINUE = Call("/continue_generation")


@final
class NoAnswerError(EngineError):
    """Nothing came back: nobody listens, the connection broke, or the time was over."""


@final
class StatusError(EngineError):
    """A status that is not 2xx."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def abort(request_id: str) -> Call:
    """End one request; its caller gets the tokens so far."""
    return Call("/abort_request", {"rid": request_id})


def pause(mode: PauseMode = "retract") -> Call:
    """Stop generating.

    ``retract`` keeps requests in flight and computes their caches anew, ``in_place`` keeps them
    with their caches, ``abort`` ends them. After ``retract``, update weights with
    ``flush_cache=False``: a flush while retracted requests wait kills the server (SGLang 0.5.18).
    """
    return Call("/pause_generation", {"mode": mode})


def check_weights(action: CheckAction) -> Call:
    """Snapshot, compare with the snapshot, scramble, or checksum the server's weights."""
    return Call("/weights_checker", {"action": action})


def release_memory(tags: Sequence[str] = ()) -> Call:
    """Free an idle server's GPU memory: ``weights``, ``kv_cache``, ``cuda_graph``, or all."""
    return Call("/release_memory_occupation", {"tags": list(tags)} if tags else {})


def resume_memory(tags: Sequence[str] = ()) -> Call:
    """Take GPU memory back; weights are undefined until the next update."""
    return Call("/resume_memory_occupation", {"tags": list(tags)} if tags else {})


def send(url: str, call: Call, timeout_s: float = CONTROL_TIMEOUT_S) -> Any:
    """Ask one server and wait for the answer: its JSON, or its text where it is none.

    Raises:
        EngineError: no answer, a status that is not 2xx, or ``"success": false``.
    """
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=timeout_s)
    try:
        body = None if call.body is None else orjson.dumps(call.body)
        connection.request(call.method, call.path, body, JSON)
        response = connection.getresponse()
        return _answer(url, call, response.status, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswerError(f"{url}{call.path}: no answer ({error!r})") from error
    finally:
        connection.close()


async def send_to_all(
    session: aiohttp.ClientSession,
    urls: Iterable[str],
    call: Call,
    timeout_s: float = CONTROL_TIMEOUT_S,
) -> list[Any]:
    """Ask several servers at once; answers in the order of ``urls``. Errors as in ``send``."""
    return await asyncio.gather(*(send_async(session, url, call, timeout_s) for url in urls))


async def send_async(
    session: aiohttp.ClientSession, url: str, call: Call, timeout_s: float = CONTROL_TIMEOUT_S
) -> Any:
    """``send`` for an event loop."""
    try:
        async with session.request(
            call.method,
            url + call.path,
            data=None if call.body is None else orjson.dumps(call.body),
            headers=JSON,
            timeout=aiohttp.ClientTimeout(timeout_s),
        ) as response:
            return _answer(url, call, response.status, await response.read())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise NoAnswerError(f"{url}{call.path}: no answer ({error!r})") from error


def is_healthy(url: str) -> bool:
    """Whether the server at ``url`` answers that it is ready."""
    try:
        send(url, HEALTH, timeout_s=5.0)
    except EngineError:
        return False
    return True


def _answer(url: str, call: Call, status: int, content: bytes) -> Any:
    text = content.decode(errors="replace")
    if not 200 <= status < 300:
        raise StatusError(f"{call.method} {url}{call.path}: status {status}: {text[:2000]}", status)
    try:
        value = orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        return text
    if isinstance(value, dict) and value.get("success") is False:
        raise EngineError(f"{call.method} {url}{call.path}: refused: {text[:2000]}")
    return value
