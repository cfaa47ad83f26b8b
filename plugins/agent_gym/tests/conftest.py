"""What the tests share: their environments, and episodes of a scripted model."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import Sample
from slime_hookspecs.testing.kit import ScriptedEngine, make_context, make_run, make_sample
from slime_plugin_agent_gym import Options, slime_generate
from slime_plugin_agent_gym.seeds import prompt


@pytest.fixture(autouse=True)
def life(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens to the environments of ``agent_worlds``, which can be imported."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "worlds"))
    module = importlib.import_module("agent_worlds")
    module.LIFE.clear()
    module.Flaky.played = 0
    found: list[str] = module.LIFE
    return found


Play = Callable[..., Sample]


@pytest.fixture
def play() -> Play:
    """An episode with the model's turns as given; ``env`` is a class of ``agent_worlds``."""

    def make(
        turns: Sequence[str],
        *,
        sample: Sample | None = None,
        engine: ScriptedEngine | None = None,
        budget: int = 512,
        seed: int = 7,
        faults: Sequence[Any] = (),
        ctx_seed: int = 0,
        **options: Any,
    ) -> Sample:
        chosen = Options(**{"env": "Quick", "max_turns": 6, **options})
        if ":" not in chosen.env and chosen.env[:1].isupper():
            chosen = Options(**{"max_turns": 6, **options, "env": f"agent_worlds:{chosen.env}"})
        made = sample or make_sample(prompt(seed, chosen))
        served_by = engine or ScriptedEngine(list(turns), faults=list(faults))
        run = make_run(max_response_tokens=budget)
        ctx = make_context(options=chosen, run=run, seed=ctx_seed)
        found = asyncio.run(slime_generate(made, served_by, ctx))
        assert isinstance(found, Sample)
        return found

    return make


@pytest.fixture
def told() -> Callable[[Sample], list[tuple[str, str]]]:
    """The conversation in a trace: kinds and texts, with the marks of turns."""

    def read(sample: Sample) -> list[tuple[str, str]]:
        show = ScriptedEngine().tokenizer.show
        return [(segment.kind, show(segment.tokens)) for segment in sample.trace.segments]

    return read
