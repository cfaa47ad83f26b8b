"""Small stand-ins that the built-in plugins are called with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import Context, RunInfo

#: Tests of plugins within a rollout use its fakes.
sys.path.insert(0, str(Path(__file__).parents[1] / "rollout"))


def context(options: Any = None, **changes: Any) -> Context[Any]:
    facts: dict[str, Any] = {
        "name": "test",
        "directory": Path(),
        "model": Path(),
        "seed": 0,
        "steps": 1,
        "prompts_per_step": 1,
        "samples_per_prompt": 4,
        "max_response_tokens": 8,
    }
    return Context(RunInfo(**{**facts, **changes}), options)


@pytest.fixture
def make_context() -> Any:
    return context
