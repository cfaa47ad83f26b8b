"""What the tests share: the stand-in package, problems and samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import Prompt, Sample
from slime_hookspecs.testing.kit import make_sample
from slime_plugin_reasoning_gym import Options
from slime_plugin_reasoning_gym.generator import Generator
from slime_plugin_reasoning_gym.library import Recipe
from slime_plugin_reasoning_gym.source import ProblemSource

FAKE = Path(__file__).parent / "fake"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Child processes see the stand-in in place of the package."""
    monkeypatch.syspath_prepend(str(FAKE))


@pytest.fixture
def generator(stand_in: None) -> Iterator[Generator]:
    """Makes the stand-in's problems."""
    made = Generator(timeout_s=2.0)
    yield made
    made.close()


@pytest.fixture
def make_source(generator: Generator) -> Callable[..., ProblemSource]:
    """A source of the stand-in's problems."""
    from slime_plugin_reasoning_gym.datasets import datasets

    def make(seed: int = 0, held_out: frozenset[str] = frozenset(), **options: Any) -> Any:
        chosen = Options(**{"tasks": ["counts"], "template": "{question}", **options})
        return ProblemSource(datasets(chosen, generator), chosen, seed, generator, held_out)

    return make


def problem(task: str, answer: str | None, metadata: Any = None, config: str = "{}") -> Prompt:
    """A prompt as the source makes them."""
    label = {
        "task": task,
        "answer": answer,
        "metadata": metadata or {},
        "config": config,
        "scope": Recipe(task).scope,
        "level": None,
    }
    return Prompt("p", [{"role": "user", "content": "How many?"}], label)


@pytest.fixture
def answered() -> Callable[..., Sample]:
    """A sample that answers a problem in tags."""

    def make(answer: str, task: str = "leg_counting", right: str | None = "42", **more: Any) -> Any:
        return make_sample(problem(task, right, **more), response=f"<answer>{answer}</answer>")

    return make
