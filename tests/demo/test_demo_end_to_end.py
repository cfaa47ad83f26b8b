"""The demo through the real engines, cut short: every stage runs and the result is whole."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from slime_core.demo.commands import Settings
from slime_core.demo.main import demo


@pytest.mark.engines
@pytest.mark.timeout(420)
def test_all_stages_run_through_the_real_engines(tmp_path: Path) -> None:
    settings = Settings(out=tmp_path / "demo", steps=2, sft_updates=20)
    said: list[str] = []
    result = demo(settings, say=said.append)
    assert len(said) == 3
    assert (Path(result.model) / "model.safetensors").is_file()
    assert Path(result.report).is_file()
    for change in (result.sampled, result.greedy, result.reward):
        assert 0.0 <= change.before <= 1.0
        assert 0.0 <= change.after <= 1.0
    assert result.times_s["rl"]["rollout"] > 0
    assert math.isfinite(result.wall_s)
