"""Messages as chat templates want them, and what tells two histories apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import orjson

from slime_core.gateway.errors import ApiError, bad

Message: TypeAlias = dict[str, Any]
Key: TypeAlias = bytes

_ROLES: Final = {"developer": "system", "function": "tool"}
_KNOWN: Final = ("system", "user", "assistant", "tool")


def normal(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """The messages with text for content and objects for tool arguments.

    Raises:
        ApiError: a message has no role or content that a language model can read.
    """
    return [_normal(message, place) for place, message in enumerate(messages)]


def start_key(tools: Any, template: Any) -> Key:
    """Key of an empty history under these tools and template arguments."""
    return _digest(b"", [tools or None, template or None])


def keys(start: Key, messages: Iterable[Message]) -> Iterator[Key]:
    """Key of the history after each message."""
    key = start
    for message in messages:
        key = next_key(key, message)
        yield key


def next_key(key: Key, message: Message) -> Key:
    """Key of a history with one more message.

    What clients leave out or fill in on their own (ids of calls, reasoning, nulls) does not count.
    """
    calls = [
        [call["function"].get("name"), call["function"].get("arguments")]
        for call in message.get("tool_calls") or ()
    ]
    return _digest(key, [message["role"], message.get("content") or "", calls, message.get("name")])


def _normal(message: Mapping[str, Any], place: int) -> Message:
    where = f"messages[{place}]"
    role = message.get("role")
    role = _ROLES.get(str(role), role)
    if role not in _KNOWN:
        raise bad(f"{where}.role is {role!r}; it must be one of {', '.join(_KNOWN)}", where)
    found = {name: value for name, value in message.items() if value is not None}
    found["role"] = role
    found["content"] = _text(message.get("content"), where)
    if "tool_calls" in found:
        found["tool_calls"] = [_call(one, where) for one in found["tool_calls"]]
        if not found["tool_calls"]:
            del found["tool_calls"]
    return found


def _text(content: Any, where: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise bad(f"{where}.content is {type(content).__name__}; it must be text or parts", where)
    return "".join(_part(part, where) for part in content)


def _part(part: Any, where: str) -> str:
    if isinstance(part, dict) and part.get("type") in (
        "text",
        "input_text",
        "output_text",
        "refusal",
    ):
        return str(part.get("text") or part.get("refusal") or "")
    kind = part.get("type") if isinstance(part, dict) else type(part).__name__
    raise bad(f"{where}.content has a part of type {kind!r}; only text is served", where)


def _call(call: Any, where: str) -> dict[str, Any]:
    try:
        function = dict(call["function"])
        arguments = function.get("arguments", {})
        function["name"] = str(function["name"])
    except (TypeError, KeyError, ValueError):
        raise bad(
            f"{where}.tool_calls has {call!r:.80}, which is no function call", where
        ) from None
    function["arguments"] = _arguments(arguments)
    return {**call, "function": function}


def _arguments(arguments: Any) -> Any:
    """Arguments as an object, as templates want them; what is no JSON stays text."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments


def _digest(before: Key, values: Any) -> Key:
    try:
        content = orjson.dumps(values, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError) as error:
        raise ApiError(400, f"a message holds what JSON cannot: {error}") from None
    return hashlib.blake2b(before + content, digest_size=16).digest()
