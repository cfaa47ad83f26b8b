"""The two APIs that are spoken, as far as they differ for every request: errors and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import orjson

from slime_core.gateway.errors import ApiError

Json: TypeAlias = dict[str, Any]

_ANTHROPIC_KINDS: Final = {
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
}


@final
@dataclass(frozen=True, slots=True)
class Dialect:
    """How an API says what all requests have in common.

    Attributes:
        error: The JSON of a refusal.
        event: A server-sent event.
        end: What follows the last event.
    """

    error: Callable[[ApiError], Json]
    event: Callable[[Json], bytes]
    end: bytes


def spoken(path: str, headers: Mapping[str, str]) -> Dialect:
    """The API that a request speaks."""
    return ANTHROPIC if "/v1/messages" in path or "anthropic-version" in headers else OPENAI


def _openai_error(error: ApiError) -> Json:
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    found = {"message": str(error), "type": kind, "param": error.param, "code": error.code}
    return {"error": found}


def _anthropic_error(error: ApiError) -> Json:
    usual = "invalid_request_error" if error.status < 500 else "api_error"
    kind = _ANTHROPIC_KINDS.get(error.status, usual)
    # Clients know by these words that they have to make the conversation shorter.
    long = error.code == "context_length_exceeded"
    message = f"prompt is too long: {error}" if long else str(error)
    return {"type": "error", "error": {"type": kind, "message": message}}


def _openai_event(event: Json) -> bytes:
    return b"data: " + orjson.dumps(event) + b"\n\n"


def _anthropic_event(event: Json) -> bytes:
    return f"event: {event['type']}\n".encode() + _openai_event(event)


OPENAI: Final = Dialect(_openai_error, _openai_event, b"data: [DONE]\n\n")
ANTHROPIC: Final = Dialect(_anthropic_error, _anthropic_event, b"")
