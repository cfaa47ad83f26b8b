"""Turns as the JSON and the events of Anthropic's API."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Final

import orjson
from slime_hookspecs.records import StopReason

from slime_core.gateway.conversation import Turn
from slime_core.gateway.replies import pieces

_LIMITS: Final = {
    StopReason.LENGTH: "max_tokens",
    StopReason.CONTEXT: "model_context_window_exceeded",
}


def message(turn: Turn, model: str) -> dict[str, Any]:
    """A whole message."""
    found = _head(turn, model)
    found["content"] = list(_blocks(turn))
    found["usage"]["output_tokens"] = len(turn.tokens)
    return {**found, **_end(turn)}


def events(turn: Turn, model: str) -> Iterator[dict[str, Any]]:
    """The message in pieces."""
    yield {"type": "message_start", "message": _head(turn, model)}
    for index, block in enumerate(_blocks(turn)):
        empty, deltas = _deltas(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    usage = {"output_tokens": len(turn.tokens)}
    yield {"type": "message_delta", "delta": _end(turn), "usage": usage}
    yield {"type": "message_stop"}


def models(name: str) -> dict[str, Any]:
    """The list of models: the one that is trained."""
    card = {"type": "model", "id": name, "display_name": name}
    card["created_at"] = "1970-01-01T00:00:00Z"
    return {"data": [card], "has_more": False, "first_id": name, "last_id": name}


def _head(turn: Turn, model: str) -> dict[str, Any]:
    return {
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": turn.prompt_tokens, "output_tokens": 0},
    }


def _end(turn: Turn) -> dict[str, Any]:
    reason = _LIMITS.get(turn.stop)
    if reason is None and turn.message.get("tool_calls"):
        reason = "tool_use"
    if reason is None:
        reason = "end_turn" if turn.stopped_at is None else "stop_sequence"
    return {"stop_reason": reason, "stop_sequence": turn.stopped_at}


def _blocks(turn: Turn) -> Iterator[dict[str, Any]]:
    said = turn.message
    if thought := said.get("reasoning_content"):
        yield {"type": "thinking", "thinking": thought, "signature": ""}
    if said.get("content"):
        yield {"type": "text", "text": said["content"]}
    for call in said.get("tool_calls") or ():
        name, arguments = call["function"]["name"], orjson.loads(call["function"]["arguments"])
        yield {"type": "tool_use", "id": call["id"], "name": name, "input": arguments}


def _deltas(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block without its content, and its content in pieces."""
    match block["type"]:
        case "tool_use":
            text = orjson.dumps(block["input"]).decode()
            kind, field, empty = "input_json_delta", "partial_json", {**block, "input": {}}
        case "thinking":
            kind, field, empty = "thinking_delta", "thinking", {**block, "thinking": ""}
            text = block["thinking"]
        case _:
            kind, field, empty = "text_delta", "text", {**block, "text": ""}
            text = block["text"]
    return empty, [{"type": kind, field: piece} for piece in pieces(text)]
