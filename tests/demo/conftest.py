"""Run directories as the demo's two stages would leave them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slime_core.demo.commands import Settings
from slime_core.observe.metrics import MetricsWriter, read_metrics
from slime_core.observe.rundir import RunDir
from slime_core.observe.summary import summarise


def leave_run(path: Path, rows: dict[int, dict[str, float]]) -> RunDir:
    """A finished run with these metrics by step."""
    run = RunDir.create(path, {"steps": len(rows)}, '{"plugins": []}')
    with MetricsWriter(run.metrics_file) as writer:
        for step, metrics in rows.items():
            writer.append(step, metrics)
    summary = summarise(
        read_metrics(run.metrics_file),
        status="success",
        wall_s=100.0,
        times_s={"start": 10.0},
        hf=path / "hf",
    )
    run.write_summary(summary)
    return run


def held_out(greedy: float, sampled: float) -> dict[str, float]:
    """Metrics of the task's two held-out sets."""
    return {
        "eval/heldout_greedy/accuracy": greedy,
        "eval/heldout_greedy/reward_mean": greedy,
        "eval/heldout_sampled/accuracy": sampled,
        "eval/heldout_sampled/pass@4": 0.99,
    }


@pytest.fixture
def leave_runs() -> Callable[[Settings], None]:
    """Leaves both runs of a demo."""

    def leave(settings: Settings) -> None:
        leave_run(settings.sft_run, {0: {"train/loss": 1.0, "time/train_s": 30.0}})
        rows = {s: {"reward/mean": 0.4, "reward/math_dapo": s / 20} for s in range(20)}
        rows[-1] = held_out(0.10, 0.30)
        rows[19] |= held_out(0.98, 0.92)
        rows[0] |= {"time/rollout_s": 40.0, "time/train_s": 20.0, "time/sync_s": 5.0}
        leave_run(settings.rl_run, dict(sorted(rows.items())))

    return leave
