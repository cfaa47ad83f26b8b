"""Observers hear how a run ended, whatever way that was."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slime_core.config.schema import Config, ObserveConfig
from slime_core.observe.journal import Journal, open_journal
from slime_core.observe.rundir import RunDir


@contextlib.contextmanager
def opened(folder: Path, heard: list[Any]) -> Iterator[Journal]:
    """A journal in a folder, and one observer of the run's end."""
    call = lambda event, *_: heard.append(event)  # noqa: E731
    hook = SimpleNamespace(plugin="p", options=None, is_async=False, call=call)
    bound = SimpleNamespace(all=lambda name: (hook,) if name == "slime_on_run_end" else ())
    config = Config(observe=ObserveConfig(progress=False))
    launch: Any = SimpleNamespace(config=config, bound=bound)
    run: Any = SimpleNamespace(steps=1)
    with open_journal(launch, RunDir.create(folder / "run", {}, "{}"), run, 0) as journal:
        yield journal


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "run" / "metrics.jsonl").open()]


@pytest.mark.parametrize(
    ("ending", "status"),
    [(None, "success"), (KeyboardInterrupt, "interrupted"), (ValueError, "error")],
)
def test_observers_hear_how_the_run_ended(
    tmp_path: Path, ending: type[BaseException] | None, status: str
) -> None:
    heard: list[Any] = []
    try:
        with opened(tmp_path, heard):
            if ending:
                raise ending
    except (KeyboardInterrupt, ValueError):
        pass
    assert [event.status for event in heard] == [status]


def test_a_row_that_waits_is_written_whole_and_before_the_next(tmp_path: Path) -> None:
    with opened(tmp_path, []) as journal:
        journal.add({"a": 1.0})
        journal.end_step(0, late=True)
        journal.add({"a": 2.0})
        journal.add_late({"eval/x": 5.0})
        journal.end_step(1)
        assert journal.steps_done == 2
    assert [(row["step"], row["a"], row.get("eval/x")) for row in rows(tmp_path)] == [
        (0, 1.0, 5.0),
        (1, 2.0, None),
    ]


def test_a_run_that_stops_keeps_the_row_that_was_waiting(tmp_path: Path) -> None:
    with opened(tmp_path, []) as journal:  # whatever stops it, the journal is closed
        journal.add({"a": 1.0})
        journal.end_step(0, late=True)
    assert [(row["step"], row["a"]) for row in rows(tmp_path)] == [(0, 1.0)]


def journal_events(run_dir: RunDir) -> list[tuple[str, str]]:
    events = json.loads((run_dir.path / "timeline.json").read_text())
    return [(e["name"], e["ph"]) for e in events if e["ph"] in "BEiC" and e["pid"]]


@pytest.mark.parametrize("on", [True, False])
def test_phases_versions_and_rewards_stand_in_the_timeline(tmp_path: Path, on: bool) -> None:
    observe = ObserveConfig(progress=False, timeline=on)
    bound = SimpleNamespace(all=lambda name: ())
    launch: Any = SimpleNamespace(config=Config(observe=observe), bound=bound)
    run_dir = RunDir.create(tmp_path / "run", {}, json.dumps({}))
    run: Any = SimpleNamespace(steps=3)
    with open_journal(launch, run_dir, run, 0) as journal:
        with journal.phase("rollout"):
            journal.add({"reward/mean": 0.5})
        journal.weights(1, 2, {"sync/seconds": 0.1})
        journal.end_step(0)
    if not on:
        assert not (run_dir.path / "timeline.json").exists()
        return
    expected = [("rollout", "B"), ("rollout", "E"), ("weights 2", "i"), ("reward", "C")]
    assert journal_events(run_dir) == expected
    with open_journal(launch, run_dir, run, 1) as journal, journal.phase("train"):
        assert journal.steps_done == 1
    assert journal_events(run_dir) == [*expected, ("train", "B"), ("train", "E")]
