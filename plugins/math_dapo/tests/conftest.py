"""What the tests of this plugin share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import Context, Prompt, RunInfo, Sample, Trace
from slime_plugin_math_dapo import Options


def run_info(**changes: Any) -> RunInfo:
    facts: dict[str, Any] = {
        "name": "test",
        "directory": Path(),
        "model": Path(),
        "seed": 0,
        "steps": 1,
        "prompts_per_step": 4,
        "samples_per_prompt": 4,
        "max_response_tokens": 100,
    }
    return RunInfo(**{**facts, **changes})


@pytest.fixture
def run() -> RunInfo:
    return run_info()


@pytest.fixture
def make_context() -> Callable[..., Context[Options]]:
    def make(evaluating: str | None = None, budget: int = 100, **options: Any) -> Context[Options]:
        run = run_info(max_response_tokens=budget)
        return Context(run, Options(**options), evaluating=evaluating)

    return make


@pytest.fixture
def make_sample() -> Callable[..., Sample]:
    def make(response: str, label: str = "42", tokens: int = 4, **more: Any) -> Sample:
        trace = Trace()
        trace.append_prompt([1, 2])
        trace.append_sampled([3] * tokens, [-0.5] * tokens, 1)
        prompt = Prompt("p", [{"role": "user", "content": "37+5="}], label=label)
        return Sample(0, 0, prompt, trace, response=response, **more)

    return make
