"""A fake engine with a tokenizer of one token a character, and what else the tests share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import Context, Message, Prompt, RunInfo, Sample
from slime_plugin_sft import Options
from slime_plugin_sft.conversations import read_conversations

END = 0
"""The end-of-turn token."""


class FakeEngine:
    """Renders ``<role>content`` and an end token, a token a character; counts renderings."""

    context_length = 1000

    def __init__(self) -> None:
        self.renderings = 0

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        self.renderings += 1
        tokens = [ord(c) for c in json.dumps(tools)] if tools else []
        for message in messages:
            tokens += self.turn(message, last=message is messages[-1])
        return tokens + [ord(c) for c in "<assistant>" if add_generation_prompt]

    def turn(self, message: Message, last: bool) -> list[int]:
        return [*map(ord, f"<{message['role']}>{message['content']}"), END]


class ForgetfulEngine(FakeEngine):
    """Drops what earlier assistant turns said, as templates that strip reasoning do."""

    def turn(self, message: Message, last: bool) -> list[int]:
        if message["role"] == "assistant" and not last:
            return super().turn({**message, "content": ""}, last)
        return super().turn(message, last)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def forgetful_engine() -> ForgetfulEngine:
    return ForgetfulEngine()


@pytest.fixture
def run() -> RunInfo:
    return RunInfo("test", Path(), Path(), 0, 1, 4, 1, 100)


@pytest.fixture
def context(run: RunInfo) -> Context[Options]:
    return Context(run, Options())


@pytest.fixture
def conversation(tmp_path: Path) -> Callable[..., Prompt]:
    """The first conversation of a file with the given columns in its only row."""

    def read(columns: dict[str, Any], **options: Any) -> Prompt:
        path = tmp_path / "d.jsonl"
        path.write_text(json.dumps(columns) + "\n")
        return read_conversations(path, Options(**options))[0]

    return read


@pytest.fixture
def make_sample() -> Callable[[Prompt], Sample]:
    return lambda prompt: Sample(0, 0, prompt)
