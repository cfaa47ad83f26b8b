"""A whole run with the real engines, and plugin ``sft`` on what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]


def slime(*words: Any) -> None:
    command = [sys.executable, "-m", "slime_core.cli", *map(str, words)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]


def steps(run: Path) -> list[dict[str, Any]]:
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [row for row in rows if row["step"] >= 0]


def test_each_step_trains_on_what_it_accepts_and_sft_reads_it(tmp_path: Path) -> None:
    from slime_core.demo.model import make_tiny_model

    model = make_tiny_model(tmp_path / "model")
    run = tmp_path / "run"
    slime(
        *("--plugin", "math_dapo", "--plugin", "rejection_sampling", "--model", model),
        *("--math-dapo.task", "addition", "--eval-every", 0, "--run-dir", run, "--steps", 2),
        *("--rejection-sampling.accept", "best", "--rejection-sampling.keep", 1),
        *("--rejection-sampling.truncated", "true", "--rollout-max-response-tokens", 8),
        *("--rollout-prompts-per-step", 4, "--rollout-samples-per-prompt", 4),
        *("--rollout-save-format", "jsonl"),
        *("--megatron-lr", 1e-3),
    )
    told = [json.loads(line) for line in (run / "rollouts" / "step_000000.jsonl").open()]
    tokens = sum(
        len(part["tokens"])
        for row in told
        if not row["rejected"]
        for part in row["trace"]
        if part["kind"] == "sampled"
    )
    assert steps(run)[0]["train/tokens"] == tokens
    for row in steps(run):
        assert row["samples/trained"] == row["rejection_sampling/written"] == 4
        assert sum(n for name, n in row.items() if name.startswith("samples/rejected/")) == 12
        assert row["rollout/observer_errors"] == 0
        assert row["train/loss"] > 0

    data = run / "plugins" / "rejection_sampling" / "accepted.jsonl"
    assert [json.loads(line)["step"] for line in data.open()] == [0] * 4 + [1] * 4
    slime(
        *("--plugin", "sft", "--sft.data", data, "--model", model, "--run-dir", tmp_path / "sft"),
        *("--steps", 1, "--rollout-prompts-per-step", 8, "--megatron-lr", 1e-3),
    )
    (row,) = steps(tmp_path / "sft")
    assert (row["prompts/trained"], row["train/loss"] > 0) == (8, True)
