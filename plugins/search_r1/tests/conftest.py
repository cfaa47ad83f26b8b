"""Fixtures of this plugin's tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import Context, Sample
from slime_hookspecs.testing.kit import ScriptedEngine, make_context, make_run
from slime_plugin_search_r1 import Options, episode

sys.path.insert(0, str(Path(__file__).parent))

from search_r1_support import Play, Remembering, new_sample


@pytest.fixture
def retriever() -> Remembering:
    return Remembering()


@pytest.fixture
def play(retriever: Remembering) -> Play:
    """Plays an episode of one prompt to its end, or on from where a sample stopped."""

    async def run(
        engine: ScriptedEngine,
        sample: Sample | None = None,
        budget: int = 2000,
        found_by: Any = None,
        **options: Any,
    ) -> Sample:
        sample = sample or new_sample()
        chosen = Options(**options)
        searched = retriever if found_by is None else found_by
        sample.stop = await episode.play(sample, engine, searched, chosen, budget)
        sample.metadata["search_r1"] = episode.account(sample.trace, engine, chosen)
        return sample

    return run


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Context[Options]]:
    def make(**options: Any) -> Context[Options]:
        run = make_run(tmp_path, max_response_tokens=2000)
        return make_context(Options(**options), run)

    return make
