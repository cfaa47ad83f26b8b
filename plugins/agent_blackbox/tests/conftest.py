"""Episodes of the tests' own agents against a scripted model, over HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import Prompt, Sample
from slime_hookspecs.testing.kit import ScriptedEngine, make_context, make_run, make_sample, serve
from slime_plugin_agent_blackbox import Options, slime_generate

sys.path.insert(0, str(Path(__file__).parent))

from blackbox_support import make_task

Play = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where agents get their folders."""
    return tmp_path / "agents"


@pytest.fixture
def context(folder: Path) -> Callable[..., Any]:
    """``context(budget=512, seed=0, **options)`` is what the hooks are told."""

    def make(*, budget: int = 512, seed: int = 0, **options: Any) -> Any:
        chosen = Options(**{"folder": str(folder), "timeout_s": 60.0, **options})
        return make_context(options=chosen, run=make_run(max_response_tokens=budget), seed=seed)

    return make


@pytest.fixture
def play(context: Callable[..., Any]) -> Play:
    """One episode of ``command`` or ``callable``, with the model's turns as given."""

    def run(
        replies: Sequence[str] = ("one", "two", "three"),
        *,
        prompt: Prompt | None = None,
        sample: Sample | None = None,
        engine: ScriptedEngine | None = None,
        faults: Sequence[Any] = (),
        **options: Any,
    ) -> Any:
        by = engine or ScriptedEngine(list(replies), faults=faults)

        async def episode() -> Any:
            async with serve(by):
                given = sample or make_sample(prompt or make_task())
                return await slime_generate(given, by, context(**options))

        return asyncio.run(episode())

    return run
