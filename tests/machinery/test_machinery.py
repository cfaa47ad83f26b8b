"""What a run holds of its processes: checkpoints whole or not at all, equal plugins everywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from slime_hookspecs import PluginError, TrainerError

from slime_core import machinery
from slime_core.config.schema import CheckpointConfig, Config
from slime_core.machinery import Machinery, Rank
from slime_core.observe.rundir import RunDir
from slime_core.updates import Updates


@dataclass
class InProcess:
    """An actor whose calls are made here and now: only Ray is left out."""

    methods: dict[str, Any]
    log_file: Path = Path("log")
    calls: list[str] = field(default_factory=list)

    def call(self, method: str, *args: Any) -> Any:
        self.calls.append(method)
        return lambda: self.methods[method](*args)


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.setattr(machinery, "result", lambda ref, *_: ref())
    monkeypatch.setattr(machinery, "results", lambda refs, *_: [ref() for ref in refs])
    return RunDir.create(tmp_path / "run", {"steps": 3}, json.dumps({"plugins": []}))


def machine(run_dir: RunDir, save: Any, **checkpoint: Any) -> Machinery:
    restored: list[Any] = []
    rollouts = InProcess({"state": lambda done: {"drawn": 8 * done}, "restore": restored.append})
    rank = InProcess(
        {
            "save_checkpoint": save,
            "save_hf": lambda path: path.mkdir(parents=True),
            "load_checkpoint": lambda path: restored.append(path.read_text()),
        }
    )
    config = Config(checkpoint=CheckpointConfig(**checkpoint))
    ready = Machinery(config, run_dir, rollouts, (Rank(rank, 0),), None)  # type: ignore[arg-type]
    rank.methods["restored"] = lambda: restored
    return ready


def write(path: Path) -> None:
    path.write_text("weights")


def test_a_checkpoint_holds_all_that_resuming_needs(run_dir: RunDir) -> None:
    ready = machine(run_dir, write)
    path = ready.save(2)
    assert sorted(p.name for p in path.iterdir()) == ["hf", "megatron", "plan.json", "state.json"]
    assert json.loads((path / "state.json").read_text()) == {"step": 2, "rollout": {"drawn": 16}}
    ready.restore(path)
    assert ready.ranks[0].actor.call("restored")() == [{"drawn": 16}, "weights"]


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({}, "generate"),
        ({"schedule": "one-step-off"}, "generate"),
        ({"schedule": "async"}, "take"),
        ({"debug_train_only": True}, "replay"),
    ],
)
def test_the_schedule_says_what_a_rollout_is(
    run_dir: RunDir, settings: dict[str, Any], method: str
) -> None:
    rollouts = InProcess({method: lambda *args: args})
    ready = Machinery(Config(**settings), run_dir, rollouts, (), None)  # type: ignore[arg-type]
    assert ready.finish_rollout(ready.begin_rollout(3, 4))[0] == 3
    assert rollouts.calls == [method]


def test_servers_that_fail_after_a_step_was_trained_on_are_told_of_newer_weights(
    run_dir: RunDir,
) -> None:
    rank = Rank(InProcess({"train": lambda step, shard: {"loss": shard}}), 0)  # type: ignore[arg-type]
    updates = Updates("http://router", {}, SimpleNamespace(look=lambda: None))  # type: ignore[arg-type]
    ready = Machinery(Config(), run_dir, InProcess({}), (rank,), updates)  # type: ignore[arg-type]
    assert not updates.trained
    assert ready.train(0, [2.0]) == {"loss": 2.0}
    assert updates.trained


def test_a_save_that_fails_leaves_the_previous_checkpoint_the_latest(run_dir: RunDir) -> None:
    def full(path: Path) -> None:
        path.write_text("half")
        raise TrainerError(f"{path}: no space left on device")

    good = machine(run_dir, write).save(1)
    with pytest.raises(TrainerError, match="no space left"):
        machine(run_dir, full).save(2)
    assert run_dir.latest_checkpoint() == good
    assert (good / "megatron").read_text() == "weights"


def test_only_the_newest_checkpoints_are_kept(run_dir: RunDir) -> None:
    ready = machine(run_dir, write, keep=2)
    for step in (1, 2, 3):
        ready.save(step)
    names = [path.name for path in run_dir.complete_checkpoints()]
    assert names == ["step_000002", "step_000003"]


def test_a_process_with_other_plugins_is_named() -> None:
    launch: Any = SimpleNamespace(plan=SimpleNamespace(fingerprint="a" * 64))
    same, other = SimpleNamespace(fingerprint="a" * 64), SimpleNamespace(fingerprint="b" * 64)
    machinery._check_fingerprints(launch, "a" * 64, [same, same])
    with pytest.raises(PluginError, match="trainer rank 1: bbbbbbbbbbbb") as found:
        machinery._check_fingerprints(launch, "a" * 64, [same, other])
    assert "rollout worker" not in str(found.value)


@pytest.mark.parametrize("schedule", ["sync", "async"])
def test_what_is_generated_without_a_pause_is_held_while_weights_are_sent(
    run_dir: RunDir, schedule: Any
) -> None:
    log: list[str] = []
    rollouts = InProcess(
        {"hold": lambda: log.append("hold"), "release": lambda v: log.append(f"release {v}")}
    )
    updates = SimpleNamespace(
        send=lambda v, verify: log.append(f"send {v}") or {}, mend=None, watch=None
    )
    ready: Any = Machinery(
        Config(schedule=schedule),
        run_dir,
        rollouts,  # type: ignore[arg-type]
        (Rank(InProcess({}), 0),),  # type: ignore[arg-type]
        updates,  # type: ignore[arg-type]
    )
    ready.sync_weights(4, first=False)
    assert log == (["send 4"] if schedule == "sync" else ["hold", "send 4", "release 4"])
