"""Turns as the JSON and the events of OpenAI's API."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

from slime_hookspecs.records import StopReason

from slime_core.engine.template import Template
from slime_core.gateway.conversation import Turn

#: Characters of text in one event of a stream.
PIECE: Final = 64


def chat(turns: Sequence[Turn], model: str, template: Template | None) -> dict[str, Any]:
    """A ``chat.completion``; with log-probs where a template to decode tokens with is given."""
    choices = [
        {
            "index": index,
            "message": turn.message,
            "finish_reason": _finish(turn),
            "logprobs": {"content": _logprobs(turn, template)} if template else None,
        }
        for index, turn in enumerate(turns)
    ]
    return {**_head("chat.completion", model), "choices": choices, "usage": usage(turns)}


def completion(turns: Sequence[Turn], model: str, template: Template | None) -> dict[str, Any]:
    """A ``text_completion``."""
    choices = [
        {
            "index": index,
            "text": turn.message["text"],
            "finish_reason": _finish(turn),
            "logprobs": _old_logprobs(turn, template) if template else None,
        }
        for index, turn in enumerate(turns)
    ]
    return {**_head("text_completion", model), "choices": choices, "usage": usage(turns)}


def chat_events(
    turns: Sequence[Turn], model: str, template: Template | None, with_usage: bool
) -> Iterator[dict[str, Any]]:
    """The answer in pieces, as ``chat.completion.chunk`` events."""
    head = _head("chat.completion.chunk", model)
    for index, turn in enumerate(turns):
        deltas = [{"role": "assistant", "content": ""}, *_deltas(turn)]
        for place, delta in enumerate(deltas):
            logprobs = _logprobs(turn, template) if template and place == 1 else None
            choice = {"index": index, "delta": delta, "finish_reason": None}
            choice["logprobs"] = {"content": logprobs} if logprobs else None
            yield {**head, "choices": [choice]}
        yield {**head, "choices": [{"index": index, "delta": {}, "finish_reason": _finish(turn)}]}
    if with_usage:
        yield {**head, "choices": [], "usage": usage(turns)}


def completion_events(
    turns: Sequence[Turn], model: str, with_usage: bool
) -> Iterator[dict[str, Any]]:
    """The answer in pieces, as ``text_completion`` events."""
    head = _head("text_completion", model)
    for index, turn in enumerate(turns):
        for piece in pieces(turn.message["text"]):
            yield {**head, "choices": [{"index": index, "text": piece, "finish_reason": None}]}
        yield {**head, "choices": [{"index": index, "text": "", "finish_reason": _finish(turn)}]}
    if with_usage:
        yield {**head, "choices": [], "usage": usage(turns)}


def models(name: str) -> dict[str, Any]:
    """The list of models: the one that is trained."""
    card = {"id": name, "object": "model", "created": 0, "owned_by": "slime"}
    return {"object": "list", "data": [card]}


def usage(turns: Sequence[Turn]) -> dict[str, int]:
    """Tokens of a request."""
    written = sum(len(turn.tokens) for turn in turns)
    given = turns[0].prompt_tokens
    return {"prompt_tokens": given, "completion_tokens": written, "total_tokens": given + written}


def pieces(text: str) -> Iterator[str]:
    """Text as a stream sends it."""
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]


def _head(kind: str, model: str) -> dict[str, Any]:
    name = "chatcmpl" if kind.startswith("chat") else "cmpl"
    return {
        "id": f"{name}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }


def _finish(turn: Turn) -> str:
    if turn.stop in (StopReason.LENGTH, StopReason.CONTEXT):
        return "length"
    return "tool_calls" if turn.message.get("tool_calls") else "stop"


def _deltas(turn: Turn) -> Iterator[dict[str, Any]]:
    message = turn.message
    for piece in pieces(message.get("reasoning_content") or ""):
        yield {"reasoning_content": piece}
    for piece in pieces(message.get("content") or ""):
        yield {"content": piece}
    for place, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        first = {"name": function["name"], "arguments": ""}
        yield {"tool_calls": [{**call, "index": place, "function": first}]}
        for piece in pieces(function["arguments"]):
            yield {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}


def _logprobs(turn: Turn, template: Template) -> list[dict[str, Any]]:
    return [
        {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": []}
        for text, logprob in zip(_texts(turn, template), turn.logprobs, strict=True)
    ]


def _old_logprobs(turn: Turn, template: Template) -> dict[str, Any]:
    texts = _texts(turn, template)
    offsets = [sum(map(len, texts[:place])) for place in range(len(texts))]
    return {
        "tokens": texts,
        "token_logprobs": list(turn.logprobs),
        "text_offset": offsets,
        "top_logprobs": None,
    }


def _texts(turn: Turn, template: Template) -> list[str]:
    return [template.decode([token], special=True) for token in turn.tokens]
