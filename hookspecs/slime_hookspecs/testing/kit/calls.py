"""Tool calls as the scripted engine's model writes them: JSON between ``<tool_call>`` tags."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from slime_hookspecs.records import Message

_CALL: Final = re.compile(r"<tool_call>(.*?)</tool_call>", re.S)


def call(name: str, **arguments: Any) -> str:
    """What a model writes to call a tool, for a script.

    >>> call("add", a=1)
    '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'
    """
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def spell(calls: Sequence[dict[str, Any]]) -> str:
    """The text of an assistant message's calls, in OpenAI's form: the inverse of ``parse``."""
    functions = [one["function"] for one in calls]
    return "".join(call(one["name"], **_object(one.get("arguments"))) for one in functions)


def parse(text: str, tools: Sequence[dict[str, Any]] | None) -> Message:
    """The assistant message in a text; a call that is malformed or of no known tool stays text.

    >>> tool = {"type": "function", "function": {"name": "add"}}
    >>> parse("Look. " + call("add", a=1), [tool])["tool_calls"][0]["function"]
    {'name': 'add', 'arguments': '{"a": 1}'}
    """
    known = {tool["function"]["name"] for tool in tools or ()}
    found = [_read(one) for one in _CALL.findall(text)] if known else []
    calls = [one for one in found if one is not None and one["name"] in known]
    if not calls or len(calls) < len(found):
        return {"role": "assistant", "content": text}
    listed = [
        {
            "id": f"call_{place}",
            "type": "function",
            "function": {"name": one["name"], "arguments": json.dumps(one["arguments"])},
        }
        for place, one in enumerate(calls)
    ]
    return {"role": "assistant", "content": _CALL.sub("", text), "tool_calls": listed}


def _object(arguments: Any) -> dict[str, Any]:
    found = json.loads(arguments) if isinstance(arguments, str) else arguments
    return dict(found or {})


def _read(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
        return {"name": str(found["name"]), "arguments": dict(found.get("arguments") or {})}
    except (ValueError, TypeError, KeyError):
        return None
