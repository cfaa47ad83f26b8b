"""Observers hear how a run ended, whatever way that was."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slime_core.config.schema import Config, ObserveConfig
from slime_core.observe.journal import open_journal
from slime_core.observe.rundir import RunDir


@pytest.mark.parametrize(
    ("ending", "status"),
    [(None, "success"), (KeyboardInterrupt, "interrupted"), (ValueError, "error")],
)
def test_observers_hear_how_the_run_ended(
    tmp_path: Path, ending: type[BaseException] | None, status: str
) -> None:
    heard: list[Any] = []
    call = lambda event, *_: heard.append(event)  # noqa: E731
    hook = SimpleNamespace(plugin="p", options=None, is_async=False, call=call)
    bound = SimpleNamespace(all=lambda name: (hook,) if name == "slime_on_run_end" else ())
    config = Config(observe=ObserveConfig(progress=False))
    launch: Any = SimpleNamespace(config=config, bound=bound)
    run_dir = RunDir.create(tmp_path / "run", {}, json.dumps({}))
    try:
        with open_journal(launch, run_dir, SimpleNamespace(steps=1), 0):  # type: ignore[arg-type]
            if ending:
                raise ending
    except (KeyboardInterrupt, ValueError):
        pass
    assert [event.status for event in heard] == [status]


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
