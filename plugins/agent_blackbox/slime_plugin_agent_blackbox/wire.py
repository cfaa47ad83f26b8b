"""What passes between an agent and the gateway, read and edited: OpenAI's API, and Anthropic's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

#: Ends of paths under which the model is asked to write.
ASKING: Final = ("/completions", "/messages", "/responses")
#: Fields that say how to sample, and not what.
HOW: Final = ("temperature", "top_p", "top_k", "min_p", "seed")
#: Fields that limit an answer, each API's own.
MOST: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")
#: Words for an answer that a limit cut short.
CUT: Final = ("length", "max_tokens")
#: Words for one that the run itself ended.
ABORTED: Final = ("abort", "aborted")
CONTEXT_FULL: Final = "context_length_exceeded"
#: The same in the messages of Anthropic's API, whose errors have no codes.
SAYINGS: Final = {"the run ended this sample": "aborted", "prompt is too long": CONTEXT_FULL}


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call.

    Attributes:
        finishes: Why each answer ended, in the API's words; empty where there is none.
        code: The word for what went wrong, or nothing.
        error: What went wrong, or nothing.
        failed: Whether it was not the agent's own mistake.
    """

    finishes: tuple[str, ...] = ()
    code: str = ""
    error: str = ""
    failed: bool = False


def edited(raw: bytes, left: int, *, own_sampling: bool) -> bytes:
    """A request that asks for ``left`` tokens at most; what is no JSON object stays as it is.

    Args:
        raw: The request's body.
        left: Tokens that the agent may still have written.
        own_sampling: Whether what it says of sampling counts.
    """
    try:
        body = json.loads(raw)
    except ValueError:
        return raw
    if not isinstance(body, dict):
        return raw
    given = [name for name in MOST if isinstance(body.get(name), int)]
    for name in given or MOST[1:2]:
        body[name] = min(body.get(name) or left, left)
    if not own_sampling:
        for name in HOW:
            body.pop(name, None)
    return json.dumps(body).encode()


def refusal(message: str, code: str) -> dict[str, Any]:
    """An error that clients of both APIs understand, and do not try again."""
    error = {"message": message, "type": "invalid_request_error", "code": code, "param": None}
    return {"type": "error", "error": error}


def outcome(status: int, raw: bytes, *, streamed: bool) -> Outcome:
    """What an answer says."""
    rows = list(_events(raw)) if streamed else [_parsed(raw)]
    for row in rows:
        if error := row.get("error"):
            return _wrong(status, error)
    if status != 200:
        return _wrong(status, {"message": raw[:300].decode(errors="replace")})
    finishes = tuple(one for row in rows for one in _finishes(row))
    if not finishes:
        text = f"an answer that is none: {raw[:200].decode(errors='replace')}"
        return Outcome(error=text, failed=True)
    return Outcome(finishes)


def _wrong(status: int, error: Any) -> Outcome:
    told = error if isinstance(error, dict) else {"message": str(error)}
    code, message = str(told.get("code") or ""), str(told.get("message") or "no message")
    code = code or next((one for said, one in SAYINGS.items() if said in message), "")
    # An error in a stream comes after status 200, for which it is too late then.
    failed = status >= 500 or (status == 200 and code != CONTEXT_FULL)
    return Outcome(code=code, error=f"status {status}: {message}", failed=failed)


def _finishes(row: Mapping[str, Any]) -> Iterator[str]:
    for choice in row.get("choices") or ():
        if isinstance(choice, dict) and choice.get("finish_reason"):
            yield str(choice["finish_reason"])
    delta = row.get("delta")
    for one in (row, delta if isinstance(delta, dict) else {}):
        if one.get("stop_reason"):
            yield str(one["stop_reason"])
    if "output" in row and row.get("status"):
        yield "length" if row["status"] == "incomplete" else str(row["status"])


def _events(raw: bytes) -> Iterator[dict[str, Any]]:
    for line in raw.splitlines():
        if line.startswith(b"data:"):
            yield _parsed(line[5:])


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
