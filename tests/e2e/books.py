"""The books of a run, checked prompt by prompt: nothing lost, nothing twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from slime_core.rollout import files


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
    # Each prompt has a number: those that are nowhere are as many as were lost.
    nowhere = set(range(drawn)) - set(once) - buffered
    assert len(nowhere) == lost + sum("group" not in row for row in state["buffer"])
