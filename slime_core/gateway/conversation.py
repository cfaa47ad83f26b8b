"""One sample's calls as a tree of turns: each path from the root is a trace, token for token."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, final

from slime_hookspecs.engine import Sampling
from slime_hookspecs.records import StopReason
from slime_hookspecs.trace import Trace

from slime_core.engine.parsing import TAIL, Parsers
from slime_core.engine.template import Template
from slime_core.gateway import messages as history
from slime_core.gateway.errors import ApiError, bad, too_long
from slime_core.gateway.messages import Key, Message


class Writer(Protocol):
    """What a conversation needs of an engine handle."""

    @property
    def context_length(self) -> int:
        """Most tokens, prompt and response together."""

    async def generate(self, trace: Trace, sampling: Sampling | None = None) -> StopReason:
        """Continue the trace."""


@final
@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of the model.

    Attributes:
        message: The assistant message, for a chat; ``{"text": ...}`` for a completion.
        stop: Why it ended.
        prompt_tokens: Tokens before it.
        tokens: Its tokens as sampled, ``[n]``.
        logprobs: Their log-probs, ``[n]``.
        stopped_at: The stop string that ended it, which is in the tokens and not in the message.
    """

    message: Message
    stop: StopReason
    prompt_tokens: int
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    stopped_at: str | None = None


@final
@dataclass(slots=True, eq=False)
class _Node:
    """The conversation up to the end of one turn of the model."""

    trace: Trace
    messages: Sequence[Message]
    text: str = ""
    followed: bool = False


@final
@dataclass(frozen=True, slots=True)
class _Asked:
    """A chat request: its messages, the key of their history, and tools."""

    messages: Sequence[Message]
    key: Key
    tools: Sequence[dict[str, Any]] | None


@final
class Conversation:
    """All that an agent asked for one sample.

    A request whose history ends where an earlier turn ended continues that turn's trace; the turn's
    tokens stay as sampled and only the new messages are rendered. Any other history (the first one,
    one that was edited or compacted) begins a trace of its own.

    Args:
        writer: Generates; its own handle, not the plugin's.
        template: The model's chat template.
        parsers: What turns text into calls and reasoning.
        counts: Where events are counted, by metric name.
    """

    def __init__(
        self, writer: Writer, template: Template, parsers: Parsers, counts: Counter[str]
    ) -> None:
        self._writer = writer
        self._template = template
        self._parsers = parsers
        self._counts = counts
        self._nodes: dict[Key, _Node] = {}
        self._turns: list[_Node] = []

    @property
    def traces(self) -> list[Trace]:
        """A trace for each branch, in the order in which their last turns ended."""
        return [node.trace for node in self._turns if not node.followed]

    async def chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]] | None,
        arguments: Mapping[str, Any],
        sampling: Sampling,
        choices: int = 1,
        *,
        forced: bool = False,
    ) -> list[Turn]:
        """Answer a conversation.

        Args:
            messages: In normal form.
            tools: Offered tools, in OpenAI's form.
            arguments: Further arguments of the chat template.
            sampling: How to sample.
            choices: How many answers, each a branch of its own.
            forced: The sampling leaves the model nothing but a call.

        Raises:
            ApiError: the conversation cannot be rendered, or does not fit.
        """
        parent, begun, keys = self._begin(messages, tools, arguments)
        if parent is None and self._turns:
            self._counts["gateway/branches"] += 1
        if forced:
            self._check_forced(begun)
            self._counts["gateway/forced_calls"] += choices
        asked = _Asked(messages, keys[-1], tools)
        work = (self._write(begun.copy(), sampling, parent, asked) for _ in range(choices))
        return list(await asyncio.gather(*work))

    def count(
        self,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]] | None,
        arguments: Mapping[str, Any],
    ) -> int:
        """Tokens that ``chat`` would ask the model to go on from.

        Raises:
            ApiError: the conversation cannot be rendered, or does not fit.
        """
        _, begun, _ = self._begin(messages, tools, arguments)
        return len(begun)

    async def complete(
        self, prompt: str | Sequence[int], sampling: Sampling, choices: int
    ) -> list[Turn]:
        """Continue plain text or tokens.

        Raises:
            ApiError: the prompt does not fit.
        """
        self._check_size(len(prompt))
        parent, begun, text = self._resume(prompt)
        work = (self._continue(begun.copy(), sampling, parent, text) for _ in range(choices))
        return list(await asyncio.gather(*work))

    def _begin(
        self,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]] | None,
        arguments: Mapping[str, Any],
    ) -> tuple[_Node | None, Trace, Sequence[Key]]:
        """The turn that the messages go on from, if any, the trace to continue, and all keys."""
        self._check_size(sum(len(message["content"]) for message in messages))
        start = history.start_key(tools, dict(arguments))
        keys = list(history.keys(start, messages))
        for place in range(len(messages) - 2, -1, -1):
            if (node := self._nodes.get(keys[place])) is None:
                continue
            new = messages[place + 1 :]
            last = node.trace.segments[-1].tokens[-1]
            added = self._template.added(node.messages, new, tools, arguments, last)
            if added is not None:
                trace = node.trace.copy()
                trace.append_observed(added)
                return node, trace, keys
        trace = Trace()
        trace.append_prompt(self._template.whole(messages, tools, arguments))
        return None, trace, keys

    def _resume(self, prompt: str | Sequence[int]) -> tuple[_Node | None, Trace, str]:
        if isinstance(prompt, str):
            found = [one for one in self._turns if one.text and prompt.startswith(one.text)]
            node = max(found, key=lambda one: len(one.text), default=None)
            rest = self._template.encode(prompt[len(node.text) :]) if node else []
            tokens, text = ([] if node else self._template.prompt(prompt)), prompt
        else:
            given = list(prompt)
            found = [one for one in self._turns if given[: len(one.trace)] == one.trace.tokens]
            node = max(found, key=lambda one: len(one.trace), default=None)
            rest = given[len(node.trace) :] if node else []
            tokens, text = ([] if node else given), ""
        trace = node.trace.copy() if node else Trace()
        trace.append_prompt(tokens) if node is None else trace.append_observed(rest)
        return node, trace, text

    def _check_size(self, characters: int) -> None:
        """Refuse what cannot fit before it costs anything.

        Raises:
            ApiError: so many characters, or tokens, are more than the context holds.
        """
        most = self._writer.context_length
        if characters > most and (least := self._template.at_least(characters)) > most:
            raise too_long(most, f"at least {least}")

    def _check_forced(self, begun: Trace) -> None:
        if self._parsers.opened(self._template, _last(begun, TAIL)):
            raise bad(
                "tool_choice forces a call, and the prompt has the model think first; switch that "
                'off, as with {"chat_template_kwargs": {"enable_thinking": false}}',
                "tool_choice",
            )

    async def _write(
        self, trace: Trace, sampling: Sampling, parent: _Node | None, asked: _Asked
    ) -> Turn:
        length, opened = len(trace), self._parsers.opened(self._template, _last(trace, TAIL))
        stop, tokens, logprobs = await self._generate(trace, sampling)
        text = self._parsers.text(self._template, tokens, asked.tools)
        text, stopped_at = _cut(text, stop, sampling)
        message = self._parsers.message(text, asked.tools, opened)
        (normal,) = history.normal([message])
        node = _Node(trace, [*asked.messages, normal])
        self._add(node, parent)
        self._nodes[history.next_key(asked.key, normal)] = node
        return Turn(message, stop, length, tokens, logprobs, stopped_at)

    async def _continue(
        self, trace: Trace, sampling: Sampling, parent: _Node | None, prompt: str
    ) -> Turn:
        length = len(trace)
        stop, tokens, logprobs = await self._generate(trace, sampling)
        text = self._template.decode(self._template.words(tokens), special=False)
        # Who goes on from here writes the stop string, which the model wrote itself, into the text.
        self._add(_Node(trace, (), prompt + text if prompt else ""), parent)
        text, stopped_at = _cut(text, stop, sampling)
        return Turn({"text": text}, stop, length, tokens, logprobs, stopped_at)

    async def _generate(
        self, trace: Trace, sampling: Sampling
    ) -> tuple[StopReason, tuple[int, ...], tuple[float, ...]]:
        before, most = len(trace), self._writer.context_length
        known = len(trace.segments)
        stop = await self._writer.generate(trace, sampling)
        if stop is StopReason.ABORTED:
            raise ApiError(503, "the run ended this sample", code="aborted")
        written = trace.segments[known:]
        if not written:
            raise too_long(most, before)
        # New weights in the middle of an answer begin a segment of their own.
        tokens = tuple(chain.from_iterable(one.tokens for one in written))
        return stop, tokens, tuple(chain.from_iterable(one.logprobs for one in written))

    def _add(self, node: _Node, parent: _Node | None) -> None:
        self._counts["gateway/turns"] += 1
        if parent is not None:
            parent.followed = True
        self._turns.append(node)


def _last(trace: Trace, count: int) -> list[int]:
    """The last few tokens of a trace, without a copy of all."""
    tokens: list[int] = []
    for segment in reversed(trace.segments):
        tokens[:0] = segment.tokens[-(count - len(tokens)) :]
        if len(tokens) >= count:
            break
    return tokens


def _cut(text: str, stop: StopReason, sampling: Sampling) -> tuple[str, str | None]:
    """The text before the first stop string, and which that is."""
    if stop is not StopReason.STOP:
        return text, None
    found = [(at, one) for one in sampling.stop or () if (at := text.find(one)) >= 0]
    at, stopped_at = min(found, default=(len(text), None))
    return text[:at], stopped_at
