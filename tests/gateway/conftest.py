"""A writer that follows a script, a tokenizer with a tool template, and a running gateway."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from slime_hookspecs import Sampling, StopReason, Trace

from slime_core.engine.parsing import Parsers
from slime_core.engine.template import Template
from slime_core.gateway.conversation import Conversation
from slime_core.gateway.server import Gateway

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))  # the exactness checks are there

from gateway_template import TEMPLATE


@dataclass
class Writer:
    """Writes what ``script`` holds, in turn: text that ends its turn, or ``(tokens, stop)``."""

    tokenizer: Any
    script: list[str | tuple[Sequence[int], StopReason]]
    context_length: int = 4096
    asked: list[list[int]] = field(default_factory=list)
    sampled: list[Sampling | None] = field(default_factory=list)
    delay_s: float = 0.0
    ended: list[str] = field(default_factory=list)

    async def generate(self, trace: Trace, sampling: Sampling | None = None) -> StopReason:
        self.asked.append(trace.tokens)
        self.sampled.append(sampling)
        line = self.script[(len(self.asked) - 1) % len(self.script)]
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        if len(trace) >= self.context_length:
            return StopReason.CONTEXT
        tokens, stop = line if isinstance(line, tuple) else (self.words(line), StopReason.STOP)
        trace.append_sampled(tokens, [-0.25] * len(tokens), len(self.asked))
        return stop

    def words(self, text: str) -> list[int]:
        return [*self.tokenizer.encode(text, add_special_tokens=False), self.end]

    @property
    def end(self) -> int:
        end: int = self.tokenizer.eos_token_id
        return end


@pytest.fixture(scope="session")
def tokenizer(tiny_model_dir: Path) -> Any:
    """The tiny tokenizer with a template that knows tools."""
    import transformers

    found = transformers.AutoTokenizer.from_pretrained(tiny_model_dir)
    found.chat_template = TEMPLATE
    return found


@pytest.fixture(scope="session")
def writer(tokenizer: Any) -> Callable[..., Writer]:
    """``writer(*script)`` makes one."""
    return lambda *script, **changes: Writer(tokenizer, list(script), **changes)


@pytest.fixture
def conversation(tokenizer: Any) -> Callable[..., Conversation]:
    """``conversation(writer)`` begins one."""
    return lambda writer, parsers=None, counts=None: Conversation(
        writer, Template(tokenizer), parsers or Parsers(), Counter() if counts is None else counts
    )


@pytest.fixture
async def gateway(tokenizer: Any) -> AsyncIterator[Gateway]:
    """A gateway that listens, with Qwen's tool parser."""
    served = Gateway(tokenizer, "tiny", Parsers(tool_calls="qwen25"))
    await served.start()
    yield served
    await served.close()


class Served:
    """A gateway with one sample, and a client for it."""

    def __init__(self, gateway: Gateway, writer: Any) -> None:
        self.writer = writer
        self.url, opened = gateway.open(writer)
        self.talk: Conversation | None = opened
        self.gateway = gateway
        self.client = openai.AsyncOpenAI(base_url=self.url, api_key=gateway.key, max_retries=0)

    async def post(self, path: str, body: Any, key: str | None = None) -> tuple[int, Any]:
        """A raw request: status and JSON."""
        headers = {"Authorization": f"Bearer {self.gateway.key if key is None else key}"}
        data = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(self.url + path, **data) as answer,
        ):
            return answer.status, await answer.json()


@pytest.fixture
async def serve(gateway: Gateway, writer: Any) -> AsyncIterator[Any]:
    """``serve(*script)`` is a sample that answers with it."""
    opened: list[Served] = []

    def make(*script: Any, **changes: Any) -> Served:
        opened.append(Served(gateway, writer(*script, **changes)))
        return opened[-1]

    yield make
    for one in opened:
        await one.client.close()
