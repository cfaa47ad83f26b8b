"""The built-in plugins together in a run with the real engines, beside a task that uses them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.engines, pytest.mark.timeout(400)]

#: Rewards every token that the model wrote.
BONUS = """
from slime_hookspecs import hookimpl

@hookimpl
async def slime_wrap_generate(call_next, sample, engine):
    answer = await call_next(sample, engine)
    sample.fields["token_rewards"] = [0.1 * one for one in sample.trace.loss_mask]
    return answer
"""
METADATA = "Metadata-Version: 2.1\nName: bonus\nVersion: 1.0\nRequires-Dist: slime-hookspecs<0.2\n"


@pytest.fixture
def bonus(tmp_path: Path) -> Path:
    """A folder in which the plugin ``bonus`` is installed."""
    site = tmp_path / "site"
    info = site / "bonus-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "bonus.py").write_text(BONUS)
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text("[slime.plugins]\nbonus = bonus\n")
    return site


def test_all_of_them_serve_one_run(
    tiny_model: Callable[[str], Path], bonus: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    arguments: list[Any] = ["--model", tiny_model("qwen3"), "--run-dir", run_dir, "--steps", 2]
    for name in ("math_dapo", "overlong", "majority_vote", "timing", "events", "bonus"):
        arguments += ["--plugin", name]
    arguments += ["--use", "token_advantage=reward_to_go", "--reward-to-go.gamma", 0.5]
    arguments += ["--reward-weight", "overlong=0.5", "--majority-vote.pattern", r"\w"]
    arguments += ["--math-dapo.task", "addition", "--math-dapo.dynamic-sampling", "off"]
    arguments += ["--rollout-prompts-per-step", 2, "--rollout-samples-per-prompt", 2]
    arguments += ["--rollout-max-response-tokens", 8, "--megatron-lr", "1e-3", "--eval-every", 0]
    run = subprocess.run(
        [sys.executable, "-m", "slime_core.cli", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(bonus)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert run.returncode == 0, run.stderr
    _, *steps = rows(run_dir / "metrics.jsonl")
    for row in steps:
        parts = (row[f"reward/{name}"] for name in ("math_dapo", "majority_vote", "overlong"))
        task, majority, overlong = parts
        assert row["reward/mean"] == pytest.approx(task + majority + 0.5 * overlong)
        assert 0 < row["timing/generate_s_mean"] <= row["timing/generate_s_max"]
        assert row["timing/generate_s_max"] <= row["time/rollout_s"]
        assert row["train/grad_norm"] > 0
        assert row["rollout/observer_errors"] == 0
        assert not [name for name in row if name.startswith("observer_errors/")]
    events = rows(run_dir / "events.jsonl")
    assert Counter(event["event"] for event in events) == {
        "weights": 3,
        "group": 4,
        "rollout": 2,
        "train_step": 2,
        "checkpoint": 1,
        "run_end": 1,
    }
    assert events[-1]["event"] == "run_end"
    assert events[-1]["status"] == "success"


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
