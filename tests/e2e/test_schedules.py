"""Whole runs under each schedule, with groups stopped on purpose: nothing lost, nothing twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slime_core.rollout import files

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]

#: A few steps on a tiny model with random weights, whose answers end at any length.
TASK = (
    *("--plugin", "math_dapo", "--math-dapo.task", "addition"),
    *("--math-dapo.dynamic-sampling", "off", "--megatron-lr", "1e-3", "--eval-every", 0),
    *("--rollout-prompts-per-step", 4, "--rollout-samples-per-prompt", 4),
)

#: Five groups at once, so that some are half done when a step has its four.
SIZE = (
    *("--rollout-max-response-tokens", 192, "--steps", 4),
    *("--rollout-concurrency", 20),
)


@pytest.fixture(scope="module")
def model(tiny_model: Callable[[str], Path]) -> Path:
    return tiny_model("qwen3")


def samples_of(run_dir: Path, step: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files.lines(files.path_of(run_dir / "rollouts", step))]


def state_of(run_dir: Path, step: int) -> dict[str, Any]:
    path = run_dir / "checkpoints" / f"step_{step:06d}" / "state.json"
    state: dict[str, Any] = json.loads(path.read_text())["rollout"]
    return state


def check_books(run_dir: Path, rows: list[dict[str, Any]]) -> None:
    """Every step's books balance; over the run all that was issued is somewhere, and once."""
    total: Counter[str] = Counter()
    for row in rows:
        books = {k: v for k, v in row.items() if k.startswith("prompts/")}
        came = books["prompts/drawn"] + books["prompts/from_buffer"]
        assert came == sum(books.values()) - came, books
        total.update({k: int(v) for k, v in books.items()})
    trained = [
        {sample["group_index"] for sample in samples_of(run_dir, int(row["step"]))} for row in rows
    ]
    assert [len(groups) for groups in trained] == [row["prompts/trained"] for row in rows]
    once = Counter(index for groups in trained for index in groups)
    assert set(once.values()) == {1}
    state = state_of(run_dir, len(rows))
    # What was counted in books that no row holds yet is in the state, as is what it left.
    total.update(state["carried"])
    lost = sum(n for k, n in total.items() if "filtered/" in k or "failed/" in k)
    drawn = total["prompts/drawn"] + total["drawn"]
    assert drawn == total["prompts/trained"] + lost + len(state["buffer"])
    buffered = {row["group"] for row in state["buffer"] if "group" in row}
    assert not buffered & set(once)


@pytest.mark.parametrize(
    ("options", "age"),
    [
        (("--rollout-over-sample", 2, "--partial-rollout"), 4),
        (("--schedule", "one-step-off"), 1),
        (("--schedule", "one-step-off", "--rollout-over-sample", 2, "--partial-rollout"), 4),
        (("--schedule", "async"), 1),
        (("--schedule", "async", "--max-staleness", 3, "--engine-servers", 2), 3),
    ],
    ids=["sync, partial", "one step off", "one step off, partial", "async", "async, 3, 2 servers"],
)
def test_a_run_balances_its_books_and_knows_how_old_its_tokens_are(
    slime: Any, model: Path, tmp_path: Path, metrics: Any, options: tuple[Any, ...], age: int
) -> None:
    run_dir = tmp_path / "run"
    size = (*SIZE, "--checkpoint-every", 4)
    run = slime("--model", model, "--run-dir", run_dir, *TASK, *size, *options)
    assert run.process.returncode == 0, run.errors
    assert run.left_behind() == []
    _, *rows = metrics(run_dir)
    check_books(run_dir, rows)
    assert max(row["staleness/max"] for row in rows) <= age
    if "one-step-off" in options:
        assert [row["staleness/max"] >= 1 for row in rows] == [False, True, True, True]
    if "--partial-rollout" in options:
        assert sum(row["continued/tokens"] for row in rows) > 0
        assert sum(row["continued/samples"] for row in rows) > 0
        assert continued(run_dir, rows) > 0
    elif "one-step-off" in options:
        assert continued(run_dir, rows) == 0
    else:  # Whether a group is under way when weights change is a matter of time.
        continued(run_dir, rows)


def continued(run_dir: Path, rows: list[dict[str, Any]]) -> int:
    """How many samples several weights wrote: one prompt, then segments of rising versions."""
    mixed = 0
    for row in rows:
        for sample in samples_of(run_dir, int(row["step"])):
            kinds = [segment["kind"] for segment in sample["trace"]]
            versions = [s["weight_version"] for s in sample["trace"] if s["kind"] == "sampled"]
            assert kinds == ["prompt"] + ["sampled"] * len(versions)
            assert versions == sorted(versions)
            assert sum(len(s["tokens"]) for s in sample["trace"][1:]) <= 192
            mixed += len(set(versions)) > 1
    return mixed


def test_a_resumed_async_run_goes_on_with_what_was_under_way(
    slime: Any, model: Path, tmp_path: Path, metrics: Any
) -> None:
    run_dir = tmp_path / "run"
    size = (*SIZE, "--checkpoint-every", 1, "--checkpoint-keep", 9, "--max-staleness", 2)
    run = slime("--model", model, "--run-dir", run_dir, *TASK, *size, "--schedule", "async")
    assert run.process.returncode == 0, run.errors
    for step in (3, 4):
        folder = run_dir / "checkpoints" / f"step_{step:06d}"
        folder.rename(tmp_path / folder.name)
    buffered = {row["group"] for row in state_of(run_dir, 2)["buffer"]}
    again = slime("--resume", run_dir)
    assert again.process.returncode == 0, again.errors
    _, *rows = metrics(run_dir)
    check_books(run_dir, rows)
    assert {s["group_index"] for s in samples_of(run_dir, 2)} <= buffered
    assert max(row["staleness/max"] for row in rows) <= 2


def test_a_resumed_run_goes_on_with_what_was_made_ahead(
    slime: Any, model: Path, tmp_path: Path, metrics: Any
) -> None:
    run_dir = tmp_path / "run"
    options = ("--schedule", "one-step-off", "--rollout-over-sample", 2, "--partial-rollout")
    size = (*SIZE, "--checkpoint-every", 1)
    keep = ("--checkpoint-keep", 9)
    run = slime("--model", model, "--run-dir", run_dir, *TASK, *size, *keep, *options)
    assert run.process.returncode == 0, run.errors
    ahead = samples_of(run_dir, 2)
    for step in (3, 4):
        folder = run_dir / "checkpoints" / f"step_{step:06d}"
        folder.rename(tmp_path / folder.name)
    again = slime("--resume", run_dir)
    assert again.process.returncode == 0, again.errors
    _, *rows = metrics(run_dir)
    assert [int(row["step"]) for row in rows] == [0, 1, 2, 3]
    check_books(run_dir, rows)

    def content(samples: list[dict[str, Any]]) -> list[Any]:
        return [(s["index"], s["trace"], s["reward"]) for s in samples]

    assert content(samples_of(run_dir, 2)) == content(ahead)
