"""A run directory with the files of a finished run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from slime_core.config.schema import Config
from slime_core.observe.metrics import MetricsWriter
from slime_core.observe.rundir import RunDir

PLAN: dict[str, Any] = {
    "api": "0.1",
    "plugins": [
        {"name": "math_dapo", "version": "0.1.0"},
        {"name": "grpo", "version": "0.3.1"},
    ],
}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run that was just made."""
    config = Config(plugins=["math_dapo"], model=Path("/models/tiny-qwen"), steps=30)
    return RunDir.create(tmp_path / "run", config, json.dumps(PLAN))


@pytest.fixture
def finished(run: RunDir) -> RunDir:
    """A run with metrics of 30 steps and a measurement before them."""
    with MetricsWriter(run.metrics_file) as writer:
        writer.append(-1, {"time/eval_s": 1.0, **_held_out(0.1, 0.3)})
        for step in range(30):
            held_out = _held_out(0.9, 0.8) if step == 29 else {}
            writer.append(step, _step(step) | held_out)
    return run


def _held_out(greedy: float, sampled: float) -> dict[str, float]:
    return {"eval/heldout_greedy/accuracy": greedy, "eval/heldout_sampled/accuracy": sampled}


def _step(step: int) -> dict[str, float]:
    return {
        "reward/mean": 1 - math.exp(-step / 10),
        "reward/math_dapo": 0.5,
        "rollout/response_tokens_mean": 4.2,
        "train/loss": 0.01 * (-1) ** step,
        "train/grad_norm": 0.4,
        "train/train_rollout_logprob_diff": 1e-6,
        "prompts/trained": 20.0,
        "prompts/filtered/zero_variance": 12.0,
        "latency/request_s_p50": 1.0,
        "latency/request_s_p99": 4.0,
        "latency/request_s_max": 9.0,
        "latency/requests/1": 60.0,
        "latency/requests/5": 4.0,
        "time/rollout_s": 2.0,
        "time/train_s": 1.0,
        "time/sync_s": 0.5,
    }
