"""What the model asks for in a turn, and the conversation that a trace is.

Everything here is derived from the prompt and the trace, so that an episode which was interrupted
goes on as the one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from slime_hookspecs import Engine, Message, Segment, Trace

#: How models of several families begin a call. What has one of these in it and cannot be read as
#: a call was meant to be one.
MARKS: Final = ("<tool_call>", "<function=", "[TOOL_CALLS]", "<|python_tag|>", "<|tool_call")


@final
@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool.

    Attributes:
        id: Nine letters and digits, the same whenever the turn is read: some templates insist.
        name: Name of the tool.
        arguments: Its arguments, as JSON text.
    """

    id: str
    name: str
    arguments: Any


@final
@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of the model that is over.

    Attributes:
        message: What it says, as an assistant message.
        calls: What it asks for.
        garbled: Whether it was meant to ask and cannot be read.
    """

    message: Message
    calls: tuple[Call, ...] = ()
    garbled: bool = False

    @property
    def asks(self) -> bool:
        """Whether the model waits for an answer."""
        return bool(self.calls) or self.garbled

    def answered(self, texts: Sequence[str]) -> list[Message]:
        """The tools' messages, one a call; or one where no call could be read."""
        if not self.calls:
            return [{"role": "tool", "content": text} for text in texts]
        return [
            {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": text}
            for call, text in zip(self.calls, texts, strict=True)
        ]


def read_turn(engine: Engine, trace: Trace, tools: list[dict[str, Any]]) -> Turn:
    """The last turn in a trace."""
    message = engine.parse(trace, tools)
    found = [one["function"] for one in message.get("tool_calls") or ()]
    if not found:
        content = message.get("content") or ""
        return Turn(message, garbled=any(mark in content for mark in MARKS))
    number = turns(trace)
    calls = tuple(
        Call(f"call{number:03d}{place:02d}", str(one["name"]), one.get("arguments"))
        for place, one in enumerate(found)
    )
    return Turn({**message, "tool_calls": [_listed(call) for call in calls]}, calls)


def turns(trace: Trace) -> int:
    """Number of turns that the model began. One that was interrupted has several segments."""
    kinds = [segment.kind for segment in trace.segments]
    return sum(
        kind == "sampled" and before != "sampled"
        for before, kind in zip(["", *kinds], kinds, strict=False)
    )


def conversation(
    engine: Engine, given: Sequence[Message], trace: Trace, tools: list[dict[str, Any]]
) -> list[Message]:
    """The messages that were exchanged up to the last answer of the tools in a trace."""
    messages, before = [*given], list[Segment]()
    for segment in trace.segments:
        if segment.kind == "observed":
            turn = read_turn(engine, Trace(before), tools)
            messages += settled(turn, engine.decode(segment.tokens))
        before.append(segment)
    return messages


def settled(turn: Turn, observed: str) -> list[Message]:
    """A turn and its answers, as part of the conversation before a later turn.

    A template gets to see it, and none of it is tokenised again. What the tools said stands there
    as it stands in the trace, with the template's own words around it.
    """
    return [turn.message, *turn.answered([observed] * max(1, len(turn.calls)))]


def _listed(call: Call) -> dict[str, Any]:
    """A call in OpenAI's form, but with arguments as an object: templates iterate over them."""
    try:
        arguments = json.loads(call.arguments)
    except (TypeError, ValueError, RecursionError):
        arguments = {}
    found = arguments if isinstance(arguments, dict) else {}
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": found},
    }
