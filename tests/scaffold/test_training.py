"""Runs with the real engines train with generated plugins, as their README says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scaffold_support import Made, run

pytestmark = [pytest.mark.engines, pytest.mark.timeout(400)]

#: A run of one step on a tiny model with random weights.
SMALL = (
    *("--steps", "1", "--rollout-prompts-per-step", "2", "--rollout-samples-per-prompt", "4"),
    *("--rollout-max-response-tokens", "200", "--megatron-lr", "1e-3"),
)


@pytest.fixture
def train(
    all_made: dict[str, Made], beside_slime: dict[str, str], tiny_model_dir: Path, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Runs a step with plugins of some kinds; gives its metrics."""

    def go(*kinds: str) -> dict[str, Any]:
        plugins = [part for kind in kinds for part in ("--plugin", all_made[kind].name)]
        folder = tmp_path / "run"
        where = ["--model", tiny_model_dir, "--run-dir", folder]
        command = [Path(sys.executable).parent / "slime", *plugins, *SMALL, *where]
        done = run(command, tmp_path, beside_slime)
        assert done.returncode == 0, done.stderr[-4000:]
        last: dict[str, Any] = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
        return last

    return go


def test_a_step_is_trained_on_games_of_several_turns_with_a_loss_of_its_own(
    train: Callable[..., dict[str, Any]],
) -> None:
    row = train("multi-turn", "loss")
    assert (row["prompts/trained"], row["rollout/failed"]) == (2.0, 0.0)
    assert row["reward/guess_it/turns"] > 1.0
    assert row["train/square_log_ratio"] == 0.0
    # What the trainer computes over all turns is what the servers said when they wrote them.
    assert row["train/train_rollout_logprob_diff"] <= 1e-4
    assert row["eval/held_out/samples"] == 8.0


def test_a_step_is_trained_on_what_an_agent_asked_over_http(
    train: Callable[..., dict[str, Any]],
) -> None:
    row = train("agent")
    assert (row["prompts/trained"], row["rollout/failed"]) == (2.0, 0.0)
    assert row["reward/price_agent/correct"] == 0.0
    assert row["train/tokens"] > 100.0
    assert row["train/train_rollout_logprob_diff"] <= 1e-4
    assert row["eval/held_out/samples"] == 8.0
