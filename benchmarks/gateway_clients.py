"""The three APIs of the gateway, each spoken by its real client."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import anthropic
import openai

SCHEMA = {"type": "object"}
TOOLS = ("add", "say")
Call = tuple[str, Any]


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        history: The conversation, in the API's form.
        tools: Whether tools are offered.
        stop: Strings that end the answer.
        temperature: Of sampling.
        budget: Most tokens of the answer.
        choices: How many answers.
    """

    history: Any
    tools: bool
    stop: tuple[str, ...]
    temperature: float
    budget: int
    choices: int = 1


@dataclass(frozen=True)
class Told:
    """An answer as the client has it.

    Attributes:
        text: What the model said.
        calls: Names and arguments of its calls.
        tokens: How many tokens it wrote; of all choices together.
        logprobs: Their log-probs, where the API tells them.
    """

    text: str
    calls: tuple[Call, ...]
    tokens: int
    logprobs: tuple[float, ...] | None = None


class Speaker(Protocol):
    """A client of one API."""

    def begin(self, system: str | None, text: str) -> Any:
        """A history of one message."""

    def carry_on(self, history: Any, told: Told, texts: Sequence[str]) -> Any:
        """The history with an answer, and with what tools and users say to it."""

    async def stream(self, request: Request) -> Any:
        """The events of an answer."""

    async def whole(self, request: Request) -> list[Told]:
        """All answers."""

    async def streamed(self, request: Request) -> Told:
        """The answer put together from its events."""


@dataclass(frozen=True)
class Chats:
    """OpenAI's chats."""

    client: openai.AsyncOpenAI

    def begin(self, system: str | None, text: str) -> Any:
        first = [] if system is None else [{"role": "system", "content": system}]
        return [*first, {"role": "user", "content": text}]

    def carry_on(self, history: Any, told: Told, texts: Sequence[str]) -> Any:
        said: dict[str, Any] = {"role": "assistant", "content": told.text}
        if told.calls:
            said["tool_calls"] = [
                {
                    "id": str(place),
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(arguments)},
                }
                for place, (name, arguments) in enumerate(told.calls)
            ]
        results = [
            {"role": "tool", "tool_call_id": str(place), "content": text}
            for place, text in enumerate(texts[: len(told.calls)])
        ]
        users = [{"role": "user", "content": text} for text in texts[len(told.calls) :]]
        return [*history, said, *results, *users]

    async def stream(self, request: Request) -> Any:
        usage = {"include_usage": True}
        return await self._create(request, stream=True, stream_options=usage)

    async def whole(self, request: Request) -> list[Told]:
        answer = await self._create(request, n=request.choices)
        return [
            Told(
                one.message.content or "",
                tuple(
                    (c.function.name, json.loads(c.function.arguments))
                    for c in one.message.tool_calls or ()
                ),
                len(one.logprobs.content),
                tuple(t.logprob for t in one.logprobs.content),
            )
            for one in answer.choices
        ]

    async def streamed(self, request: Request) -> Told:
        text, calls, logprobs, usage = "", dict[int, list[str]](), list[float](), 0
        async for event in await self.stream(request):
            usage = event.usage.completion_tokens if event.usage else usage
            for one in event.choices:
                text += one.delta.content or ""
                logprobs += [t.logprob for t in one.logprobs.content] if one.logprobs else []
                for call in one.delta.tool_calls or ():
                    found = calls.setdefault(call.index, ["", ""])
                    found[0] += call.function.name or ""
                    found[1] += call.function.arguments or ""
        read = tuple((name, json.loads(arguments)) for name, arguments in calls.values())
        return Told(text, read, usage, tuple(logprobs) or None)

    async def _create(self, request: Request, **fields: Any) -> Any:
        if request.tools:
            fields["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": SCHEMA}}
                for name in TOOLS
            ]
        if request.stop:
            fields["stop"] = list(request.stop)
        return await self.client.chat.completions.create(
            model="tiny",
            messages=request.history,
            logprobs=True,
            max_tokens=request.budget,
            temperature=request.temperature,
            **fields,
        )


@dataclass(frozen=True)
class Texts:
    """OpenAI's text completions."""

    client: openai.AsyncOpenAI

    def begin(self, system: str | None, text: str) -> Any:
        return (system or "") + text

    def carry_on(self, history: Any, told: Told, texts: Sequence[str]) -> Any:
        return history + told.text + "".join(texts)

    async def stream(self, request: Request) -> Any:
        usage = {"include_usage": True}
        return await self._create(request, stream=True, stream_options=usage)

    async def whole(self, request: Request) -> list[Told]:
        answer = await self._create(request)
        return [
            Told(one.text, (), answer.usage.completion_tokens, tuple(one.logprobs.token_logprobs))
            for one in answer.choices
        ]

    async def streamed(self, request: Request) -> Told:
        text, usage = "", 0
        async for event in await self.stream(request):
            text += "".join(one.text for one in event.choices)
            usage = event.usage.completion_tokens if event.usage else usage
        return Told(text, (), usage)

    async def _create(self, request: Request, **fields: Any) -> Any:
        return await self.client.completions.create(
            model="tiny",
            prompt=request.history,
            logprobs=0,
            max_tokens=request.budget,
            temperature=request.temperature,
            **fields,
        )


@dataclass(frozen=True)
class Messages:
    """Anthropic's messages."""

    client: anthropic.AsyncAnthropic

    def begin(self, system: str | None, text: str) -> Any:
        first = [] if system is None else [{"role": "system", "content": system}]
        return [*first, {"role": "user", "content": [{"type": "text", "text": text}]}]

    def carry_on(self, history: Any, told: Told, texts: Sequence[str]) -> Any:
        said = [{"type": "text", "text": told.text}] if told.text else []
        said += [
            {"type": "tool_use", "id": str(place), "name": name, "input": arguments}
            for place, (name, arguments) in enumerate(told.calls)
        ]
        new = [
            {"type": "tool_result", "tool_use_id": str(place), "content": text}
            for place, text in enumerate(texts[: len(told.calls)])
        ]
        new += [{"type": "text", "text": text} for text in texts[len(told.calls) :]]
        return [*history, {"role": "assistant", "content": said}, {"role": "user", "content": new}]

    async def stream(self, request: Request) -> Any:
        return await self._create(request, stream=True)

    async def whole(self, request: Request) -> list[Told]:
        return [_told(await self._create(request))]

    async def streamed(self, request: Request) -> Told:
        stream = await self.stream(request)
        blocks: list[list[str]] = []
        async for event in stream:
            if event.type == "content_block_start":
                blocks.append([event.content_block.type, getattr(event.content_block, "name", "")])
                blocks[-1].append("")
            if event.type == "content_block_delta":
                delta = event.delta
                blocks[-1][2] += delta.text if delta.type == "text_delta" else delta.partial_json
            if event.type == "message_delta":
                tokens = event.usage.output_tokens
        text = "".join(text for kind, _, text in blocks if kind == "text")
        calls = tuple((name, json.loads(t)) for kind, name, t in blocks if kind == "tool_use")
        return Told(text, calls, tokens)

    async def _create(self, request: Request, **fields: Any) -> Any:
        system = [m["content"] for m in request.history if m["role"] == "system"]
        if system:
            fields["system"] = system[0]
        if request.tools:
            fields["tools"] = [{"name": name, "input_schema": SCHEMA} for name in TOOLS]
        if request.stop:
            fields["stop_sequences"] = list(request.stop)
        return await self.client.messages.create(
            model="tiny",
            messages=[m for m in request.history if m["role"] != "system"],
            max_tokens=request.budget,
            extra_body={"temperature": request.temperature},
            **fields,
        )


def _told(answer: Any) -> Told:
    text = "".join(block.text for block in answer.content if block.type == "text")
    calls = tuple((b.name, b.input) for b in answer.content if b.type == "tool_use")
    return Told(text, calls, answer.usage.output_tokens)


@dataclass(frozen=True)
class Clients:
    """One client of each package, with one pool of connections each."""

    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic

    def speaker(self, api: str, url: str) -> Speaker:
        """A client of the sample that is served at a URL."""
        if api == "messages":
            return Messages(self.anthropic.with_options(base_url=url.removesuffix("/v1")))
        client = self.openai.with_options(base_url=url)
        return Chats(client) if api == "chat" else Texts(client)


@contextlib.asynccontextmanager
async def clients(key: str) -> AsyncIterator[Clients]:
    """Clients that neither retry nor wait for ever."""
    nowhere, limits = "http://127.0.0.1:9/v1", {"api_key": key, "max_retries": 0, "timeout": 300.0}
    async with (
        openai.AsyncOpenAI(base_url=nowhere, **limits) as one,  # type: ignore[arg-type]
        anthropic.AsyncAnthropic(base_url=nowhere, **limits) as other,  # type: ignore[arg-type]
    ):
        yield Clients(one, other)


def pick(rng: random.Random) -> str:
    """An API."""
    return rng.choices(("chat", "messages", "text"), (6, 3, 1))[0]
