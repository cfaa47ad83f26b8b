"""Whole runs with the real engines, as a user starts them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]

#: A run of two steps on a tiny model with random weights.
SMALL = (
    *(
        "--plugin",
        "math_dapo",
        "--math-dapo.task",
        "addition",
        "--math-dapo.dynamic-sampling",
        "off",
    ),
    *("--rollout-prompts-per-step", 4, "--rollout-samples-per-prompt", 4),
    *("--rollout-max-response-tokens", 8, "--megatron-lr", "1e-3", "--steps", 2),
)


@pytest.fixture(scope="module")
def model(tiny_model: Callable[[str], Path]) -> Path:
    return tiny_model("qwen3")


def accounted(row: dict[str, Any]) -> tuple[float, float]:
    """Prompts that came into a step, and prompts that left it."""
    came = row["prompts/drawn"] + row["prompts/from_buffer"]
    left = row["prompts/trained"] + row["prompts/kept"]
    left += sum(v for k, v in row.items() if k.startswith(("prompts/filtered/", "prompts/failed/")))
    return came, left


def test_a_run_trains_syncs_evaluates_and_leaves_nothing_running(
    slime: Any, model: Path, tmp_path: Path, metrics: Any, new_shared_memory: Any
) -> None:
    run_dir = tmp_path / "run"
    run = slime("--model", model, "--run-dir", run_dir, "--eval-every", 2, *SMALL)
    assert run.process.returncode == 0, run.errors
    assert run.left_behind() == []
    assert new_shared_memory() == set()

    before, first, last = metrics(run_dir)
    assert before["sync/verified_tensors"] > 0
    assert any(k.startswith("eval/") for k in before)
    assert any(k.startswith("eval/") for k in last)
    for row in (first, last):
        came, left = accounted(row)
        assert came == left == 4
        assert row["train/train_rollout_logprob_diff"] <= 1e-4
    assert [r["sync/weight_version"] for r in (before, first, last)] == [1, 2, 3]

    checkpoint = run_dir / "checkpoints" / "step_000002"
    assert (checkpoint / "hf" / "config.json").is_file()
    assert json.loads((run_dir / "summary.json").read_text())["status"] == "success"
    assert "<svg" in (run_dir / "report.html").read_text()
    assert first["latency/request_s_p99"] >= first["latency/request_s_p50"] > 0
    timeline = json.loads((run_dir / "timeline.json").read_text())
    processes = {e["args"]["name"] for e in timeline if e["name"] == "process_name"}
    assert processes == {"driver", "rollout worker", "trainer rank 0"}
    trained = [e["ph"] for e in timeline if e["name"] == "train"]
    assert trained.count("B") == trained.count("E") == 4  # two steps, of the driver and the rank
    assert sum(e["name"] == "generate" and e["ph"] == "b" for e in timeline) == 32
    plan = json.loads((run_dir / "plan.json").read_text())
    assert plan == json.loads((checkpoint / "plan.json").read_text())


def test_saved_rollouts_are_replayed_without_a_server(
    slime: Any, model: Path, tmp_path: Path, metrics: Any
) -> None:
    made = slime("--model", model, "--run-dir", tmp_path / "a", "--debug-rollout-only", *SMALL)
    assert made.process.returncode == 0, made.errors
    assert not list((tmp_path / "a" / "logs").glob("rank_*"))
    replay = tmp_path / "a" / "rollouts"
    trained = slime(
        *("--model", model, "--run-dir", tmp_path / "b", "--debug-train-only"),
        *("--rollout-replay", replay, *SMALL),
    )
    assert trained.process.returncode == 0, trained.errors
    assert not list((tmp_path / "b" / "logs").glob("server*"))
    assert all("train/loss" in row for row in metrics(tmp_path / "b")[1:])
    assert trained.left_behind() == []


@pytest.mark.parametrize(
    "layout",
    [
        ("--train-tp", 2, "--engine-servers", 2, "--weights-transport", "distributed"),
        ("--train-pp", 2, "--weights-transport", "disk", "--plugin", "tensorboard"),
        ("--train-dp", 2, "--megatron-use-distributed-optimizer", "--weights-verify", "always"),
    ],
    ids=["tp2, two servers, distributed", "pp2, disk, tensorboard", "dp2, distributed optimizer"],
)
def test_a_run_takes_any_layout_and_transport(
    slime: Any, model: Path, tmp_path: Path, metrics: Any, layout: tuple[Any, ...]
) -> None:
    run_dir = tmp_path / "run"
    run = slime("--model", model, "--run-dir", run_dir, "--eval-every", 0, *SMALL, *layout)
    assert run.process.returncode == 0, run.errors
    assert run.left_behind() == []
    before, *steps = metrics(run_dir)
    assert before["sync/verified_tensors"] > 0
    assert all(row["train/train_rollout_logprob_diff"] <= 1e-4 for row in steps)
    if "--weights-verify" in layout:
        assert all(row["sync/verified_tensors"] > 0 for row in steps)
    if "tensorboard" in layout:
        assert list((run_dir / "tensorboard").iterdir())
