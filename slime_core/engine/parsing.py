"""What the model wrote, as an assistant message: SGLang's own parsers find calls and reasoning."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from slime_hookspecs.records import Message

from slime_core.engine import cpu
from slime_core.engine.template import Template

#: What a template writes last where it opens the model's reasoning itself.
THINK: Final = "<think>"
#: Tokens before a turn in which that is looked for.
TAIL: Final = 8


@final
@dataclass(frozen=True, slots=True)
class Parsers:
    """Which parsers the servers were given.

    Attributes:
        tool_calls: Name of ``--sglang-tool-call-parser``; without one no calls are looked for.
        reasoning: Name of ``--sglang-reasoning-parser``; without one reasoning stays in the text.
    """

    tool_calls: str | None = None
    reasoning: str | None = None

    def read(
        self,
        template: Template,
        before: Sequence[int],
        turn: Sequence[int],
        tools: Sequence[dict[str, Any]] | None,
    ) -> Message:
        """The assistant message in a turn of the model.

        Args:
            template: Decodes.
            before: Tokens before the turn; only the last few are looked at.
            turn: Tokens of the turn as sampled.
            tools: Tools that it was offered.
        """
        return self.message(self.text(template, turn, tools), tools, self.opened(template, before))

    def text(
        self, template: Template, turn: Sequence[int], tools: Sequence[dict[str, Any]] | None
    ) -> str:
        """Text of a turn without the token that ended it; calls keep their special tokens."""
        with_calls = bool(self.tool_calls and tools)
        return template.decode(template.words(turn), special=with_calls)

    def opened(self, template: Template, before: Sequence[int]) -> bool:
        """Whether the prompt, of which the last few tokens are given, opens the reasoning."""
        if not self.reasoning:
            return False
        return template.decode(before[-TAIL:], special=True).rstrip().endswith(THINK)

    def message(self, text: str, tools: Sequence[dict[str, Any]] | None, opened: bool) -> Message:
        """The assistant message in some text, arguments as JSON text.

        Args:
            text: What the model wrote in its turn.
            tools: Tools that it was offered.
            opened: The prompt already opened the reasoning.
        """
        found: Message = {"role": "assistant", "content": text}
        if self.reasoning:
            reasoning, text = _split_reasoning(self.reasoning, text, opened)
            found["content"] = text
            if reasoning:
                found["reasoning_content"] = reasoning
        if self.tool_calls and tools:
            text, calls = _split_calls(self.tool_calls, text, tools)
            if calls:
                found["content"], found["tool_calls"] = text or None, calls
        return found


def check(parsers: Parsers) -> None:
    """Import the parsers, which takes seconds.

    Raises:
        ValueError: SGLang has no parser of a name.
    """
    if parsers.reasoning:
        _split_reasoning(parsers.reasoning, "", opened=False)
    if parsers.tool_calls:
        _parser_of_calls(parsers.tool_calls, [])


def _split_reasoning(name: str, text: str, opened: bool) -> tuple[str, str]:
    cpu.install()
    from sglang.srt.parser.reasoning_parser import ReasoningParser

    parser = ReasoningParser(name, stream_reasoning=False, force_reasoning=opened or None)
    reasoning, rest = parser.parse_non_stream(text)
    return reasoning or "", rest or ""


def _split_calls(
    name: str, text: str, tools: Sequence[dict[str, Any]]
) -> tuple[str, list[dict[str, Any]]]:
    parser = _parser_of_calls(name, tools)
    if not parser.has_tool_call(text):
        return text, []
    try:
        rest, found = parser.parse_non_stream(text)
    except Exception:
        # A call that cannot be parsed is the model's mistake: the agent sees its text.
        return text, []
    return rest.strip(), [_call(one.name, one.parameters) for one in found]


def _parser_of_calls(name: str, tools: Sequence[dict[str, Any]]) -> Any:
    cpu.install()
    from sglang.srt.entrypoints.openai.protocol import Tool
    from sglang.srt.function_call.function_call_parser import FunctionCallParser

    convert: Callable[..., Any] = Tool.model_validate
    return FunctionCallParser([convert(tool) for tool in tools], name)


def _call(name: str, arguments: str) -> dict[str, Any]:
    # An escape such as \ud83d on its own is JSON, but no text that could be sent.
    function = {"name": name, "arguments": arguments.encode(errors="replace").decode()}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}
