"""The messages behind a trace, heard on the way between a task and its engine handle.

A trace holds tokens, and a dataset of conversations is to hold messages. Text of one turn is told
from its tokens; roles, tool calls and what tools said are not. Every task hands them to the engine
itself: to ``render`` what the model is asked, to ``extend`` what it is told between two turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

from slime_hookspecs import Engine, EngineError, Message, Sample, Trace

#: Key of ``sample.metadata`` for what the trace does not say.
NOTES: Final = "rejection_sampling"

Tools = Sequence[dict[str, Any]] | None


@final
class Recorder:
    """Stands in front of one sample's engine handle and remembers the messages that pass.

    Args:
        engine: The handle.
        notes: Of an interrupted attempt, as ``notes`` returned them.
    """

    def __init__(self, engine: Engine, notes: dict[str, Any] | None = None) -> None:
        notes = notes or {}
        self._engine = engine
        self._asked: list[Message] | None = notes.get("asked")
        self._tools: Tools = notes.get("tools")
        self._prompt: list[int] = notes.get("prompt", [])
        self._told: dict[str, list[Message]] = notes.get("told", {})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def render(
        self,
        messages: Sequence[Message],
        tools: Tools = None,
        *,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """As the handle's."""
        tokens = self._engine.render(messages, tools, add_generation_prompt=add_generation_prompt)
        if add_generation_prompt:
            self._asked, self._tools, self._prompt = list(messages), tools, tokens
        return tokens

    def extend(
        self, trace: Trace, messages: Sequence[Message], new: Sequence[Message], tools: Tools = None
    ) -> list[int]:
        """As the handle's."""
        added = self._engine.extend(trace, messages, new, tools)
        self._told[str(len(trace))] = [messages[-1], *new]
        return added

    def notes(self) -> dict[str, Any]:
        """All that another attempt at the sample needs, as JSON values."""
        return {
            "asked": self._asked,
            "tools": self._tools,
            "prompt": self._prompt,
            "told": self._told,
        }

    def is_plain(self, sample: Sample) -> bool:
        """Whether it is the prompt as it stands and one turn: the sample says all of it itself."""
        kinds = [segment.kind for segment in sample.trace.segments]
        return (
            self._knows(sample.trace)
            and self._asked == sample.prompt.messages
            and (self._tools or None) == (sample.prompt.tools or None)
            and "observed" not in kinds
        )

    def conversation(self, trace: Trace) -> list[Message] | None:
        """The messages of a trace, or ``None`` where not all of them passed here as messages.

        Those of the assistant in what the model was asked are marked ``train: false``.
        """
        if not self._knows(trace):
            return None
        messages = given(self._asked or [])
        position = 0
        for segment in trace.segments:
            if segment.kind == "observed":
                told = self._told.get(str(position))
                if told is None:
                    return None
                messages += told
            position += len(segment.tokens)
        return [*messages, self._last(trace)] if trace.last_turn else messages

    def _knows(self, trace: Trace) -> bool:
        return self._asked is not None and trace.tokens[: trace.prompt_length] == self._prompt

    def _last(self, trace: Trace) -> Message:
        if self._tools:
            try:
                return self._engine.parse(trace, self._tools)
            except EngineError:
                pass  # The run names no parser for calls, and so the task reads the text itself.
        return {"role": "assistant", "content": self._engine.decode(trace.last_turn)}


def given(messages: Sequence[Message]) -> list[Message]:
    """Messages that are context only: nothing in them is to be imitated."""
    return [{**m, "train": False} if m["role"] == "assistant" else m for m in messages]


def note(sample: Sample, recorder: Recorder) -> None:
    """Keep with a finished sample what its prompt and its trace do not tell."""
    if recorder.is_plain(sample):
        sample.metadata.pop(NOTES, None)
        return
    tools = recorder.notes()["tools"]
    sample.metadata[NOTES] = {"messages": recorder.conversation(sample.trace), "tools": tools}
