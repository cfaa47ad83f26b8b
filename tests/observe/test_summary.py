"""The summary says how a run ended and where its time went."""

from __future__ import annotations

from pathlib import Path

import pytest

from slime_core.observe.metrics import read_metrics
from slime_core.observe.rundir import RunDir
from slime_core.observe.summary import Summary, summarise


def test_a_finished_run(finished: RunDir) -> None:
    rows = read_metrics(finished.metrics_file)
    summary = summarise(
        rows,
        status="success",
        wall_s=140.0,
        times_s={"start": 20.0},
        checkpoint=Path("/r/checkpoints/step_000030"),
        hf=Path("/r/checkpoints/step_000030/hf"),
    )
    assert summary["steps_done"] == 30
    assert summary["first"]["reward/mean"] == 0.0
    assert summary["last"]["eval/heldout_sampled/accuracy"] == 0.8
    assert summary["eval_before"] == {
        "eval/heldout_greedy/accuracy": 0.1,
        "eval/heldout_sampled/accuracy": 0.3,
    }
    assert summary["eval_after"]["eval/heldout_greedy/accuracy"] == 0.9
    assert summary["hf"] == "/r/checkpoints/step_000030/hf"
    assert summary["error"] is None


def test_the_times_add_up_to_the_wall_time(finished: RunDir) -> None:
    rows = read_metrics(finished.metrics_file)
    times = summarise(rows, status="success", wall_s=140.0, times_s={"start": 20.0})["times_s"]
    assert times == {
        "start": 20.0, "rollout": 60.0, "train": 30.0, "sync": 15.0, "eval": 1.0, "other": 14.0
    }  # fmt: skip
    assert list(times)[:3] == ["start", "rollout", "train"]
    assert sum(times.values()) == pytest.approx(140.0)


def test_a_whole_that_is_reported_besides_its_parts_is_not_counted_twice() -> None:
    rows = [{"step": 0, "time/rollout_s": 1.0, "time/step_s": 1.5, "time/train_s": float("nan")}]
    assert summarise(rows, status="success", wall_s=2.0)["times_s"] == {
        "rollout": 1.0,
        "other": 1.0,
    }


def test_a_run_that_failed_before_its_first_step() -> None:
    summary = summarise([], status="error", wall_s=3.0, error="EngineError: no server")
    assert summary["steps_done"] == 0
    assert (summary["first"], summary["last"]) == ({}, {})
    assert (summary["eval_before"], summary["eval_after"]) == ({}, {})
    assert summary["error"] == "EngineError: no server"


def test_what_was_measured_before_the_first_step_is_no_step() -> None:
    summary = summarise([{"step": -1, "time": 1.0, "sync/x": 1.0}], status="error", wall_s=1.0)
    assert summary["steps_done"] == 0
    assert summary["first"] == {}


def test_the_caller_may_know_better() -> None:
    rows = [{"step": 4, "eval/a/accuracy": 0.5}]
    summary = summarise(
        rows, status="interrupted", wall_s=1.0, steps_done=9, eval_before={"eval/a/accuracy": 0.1}
    )
    assert summary["steps_done"] == 9
    assert summary["eval_before"] == {"eval/a/accuracy": 0.1}
    assert summary["eval_after"] == {"eval/a/accuracy": 0.5}


def test_its_shape_is_written_down(finished: RunDir) -> None:
    summary = summarise([], status="success", wall_s=0.0)
    assert list(summary) == list(Summary.__annotations__)
    finished.write_summary(summary)
    assert finished.read_summary() == dict(summary)
