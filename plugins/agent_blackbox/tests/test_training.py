"""A step of real training: the ``openai`` package as the agent, real servers, the real gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.engines, pytest.mark.timeout(400)]

SLIME = Path(sys.executable).parent / "slime"
SMALL = (
    *("--steps", "1", "--rollout-prompts-per-step", "2", "--rollout-samples-per-prompt", "3"),
    *("--rollout-max-response-tokens", "24", "--agent-blackbox.max-calls", "2"),
    *("--agent-blackbox.reward-range", "0", "--agent-blackbox.reward-range", "1"),
    *("--eval-every", "0", "--no-eval-at-start", "--no-eval-at-end"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that trained a tiny model of random weights for a step."""
    above = tmp_path_factory.mktemp("training")
    making = [SLIME, "demo", "--model-only", "--out", above / "tiny"]
    subprocess.run(making, capture_output=True, check=True)
    where = ["--model", above / "tiny" / "model", "--run-dir", above / "run"]
    command = [SLIME, "--plugin", "agent_blackbox", "--agent-blackbox.task", "sums", *where, *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return above / "run"


def test_a_step_is_trained_on_what_an_unmodified_client_asked(run: Path) -> None:
    row: dict[str, Any] = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert (row["prompts/trained"], row["rollout/failed"]) == (2.0, 0.0)
    assert row["reward/agent_blackbox/calls"] >= 1.0
    assert 0.0 <= row["reward/agent_blackbox/digits"] <= 1.0
    assert row["gateway/turns"] >= 6.0
    # What the trainer computes over all turns is what the servers said when they wrote them.
    assert row["train/train_rollout_logprob_diff"] <= 1e-4


def test_no_folder_of_an_agent_is_left(run: Path) -> None:
    assert list((run / "plugins" / "agent_blackbox" / "agents").iterdir()) == []
