"""The action in a turn of the model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, final

from slime_plugin_agent_gym.options import Options


@final
@dataclass(frozen=True, slots=True)
class Mistake:
    """A turn without an action. ``text`` tells the model."""

    text: str


def read_action(turn: str, options: Options) -> Any:
    """The action that a turn is, or a ``Mistake``."""
    text: str | None = turn.strip()
    if options.action == "tag":
        text = _tagged(turn, options.action_tag)
        if text is None:
            begin, end = f"<{options.action_tag}>", f"</{options.action_tag}>"
            return Mistake(f"There is no action. Write it between {begin} and {end}.")
    if not text:
        return Mistake("The action is empty. Write one.")
    return _typed(text, options)


def _tagged(turn: str, tag: str) -> str | None:
    begin, end = f"<{tag}>", f"</{tag}>"
    stop = turn.rfind(end)
    start = turn.rfind(begin, 0, stop) if stop >= 0 else -1
    return turn[start + len(begin) : stop].strip() if start >= 0 else None


def _typed(text: str, options: Options) -> Any:
    if options.action_type == "text":
        return text
    try:
        return int(text) if options.action_type == "int" else json.loads(text)
    except (ValueError, RecursionError):
        kind = "a whole number" if options.action_type == "int" else "JSON"
        return Mistake(f"The action is not {kind}. Write {kind}.")
