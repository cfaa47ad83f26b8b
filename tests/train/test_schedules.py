"""The loop under each schedule: what happens in which order, and with which weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slime_core.config.schema import CheckpointConfig, Config, EvalConfig
from slime_core.train import train


@dataclass
class Recorder:
    """Machinery and journal in one that write down what they are asked for."""

    ends_at: int = 99
    trains: bool = True
    first_version: int = 1
    log: list[str] = field(default_factory=list)

    def begin_rollout(self, step: int, version: int) -> int:
        self.log.append(f"begin {step} v{version}")
        return step

    def finish_rollout(self, begun: int) -> Any:
        self.log.append(f"finish {begun}")
        return SimpleNamespace(metrics={}, shards=begun, empty=begun >= self.ends_at)

    def train(self, step: int, shards: int) -> dict[str, float]:
        assert step == shards
        self.log.append(f"train {step}")
        return {}

    def sync_weights(self, version: int, *, first: bool) -> dict[str, float]:
        self.log.append(f"sync v{version}")
        return {}

    def evaluate(self, step: int, version: int) -> dict[str, float]:
        self.log.append(f"eval v{version}")
        return {}

    def begin_evaluation(self, step: int, version: int) -> int:
        self.log.append(f"measure v{version}")
        return version

    def finish_evaluation(self, begun: int) -> dict[str, float]:
        self.log.append(f"measured v{begun}")
        return {"version": begun}

    def save(self, step: int) -> Path:
        self.log.append(f"save {step}")
        return Path()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        yield

    def note(self, text: str) -> None:
        self.log.append(text)

    def nothing(self, *_: Any) -> None:
        pass

    def add_late(self, metrics: dict[str, float]) -> None:
        self.log.append(f"late v{metrics['version']}")

    def end_step(self, step: int, *, late: bool = False) -> None:
        self.log += [f"row {step} waits"] * late

    add = trained = weights = saved = nothing


def logged(config: Config, start: int = 0, **settings: Any) -> list[str]:
    recorder: Any = Recorder(**settings)
    train(config, recorder, recorder, start)
    log: list[str] = recorder.log
    return log


QUIET = Config(
    steps=3, eval=EvalConfig(every=0), checkpoint=CheckpointConfig(every=2), schedule="sync"
)


def test_sync_generates_each_step_with_the_weights_of_the_step_before() -> None:
    assert logged(QUIET) == [
        *("sync v1", "begin 0 v1", "finish 0", "train 0", "sync v2"),
        *("begin 1 v2", "finish 1", "train 1", "sync v3", "save 2"),
        *("begin 2 v3", "finish 2", "train 2", "sync v4", "save 3"),
    ]


def test_one_step_off_generates_the_next_step_while_this_one_trains_and_syncs_after_both() -> None:
    assert logged(replace(QUIET, schedule="one-step-off")) == [
        *("sync v1", "begin 0 v1", "finish 0", "begin 1 v1", "train 0", "finish 1", "sync v2"),
        *("finish 1", "begin 2 v2", "train 1", "finish 2", "sync v3", "save 2"),
        *("finish 2", "train 2", "sync v4", "save 3"),
    ]


def test_async_begins_no_rollout_early_because_none_ever_ends() -> None:
    assert logged(replace(QUIET, schedule="async")) == logged(QUIET)


def test_one_step_off_resumes_with_a_rollout_of_its_own() -> None:
    assert logged(replace(QUIET, schedule="one-step-off"), start=2) == [
        *("sync v3", "begin 2 v3", "finish 2", "train 2", "sync v4", "save 3")
    ]


@pytest.mark.parametrize("schedule", ["sync", "one-step-off"])
def test_nothing_is_generated_while_held_out_sets_are_measured(schedule: Any) -> None:
    log = logged(replace(QUIET, schedule=schedule, eval=EvalConfig(every=1, at_start=False)))
    assert "measure v2" in log
    for place, entry in enumerate(log):
        if entry.startswith("measure v"):
            assert log[place + 1] == entry.replace("measure", "measured")
            begun = [e.split()[1] for e in log[:place] if e.startswith("begin")]
            assert all(f"finish {step}" in log[:place] for step in begun)


def test_async_measures_held_out_sets_until_weights_change() -> None:
    measured = EvalConfig(every=1, at_start=False)
    assert logged(replace(QUIET, schedule="async", eval=measured)) == [
        *("sync v1", "begin 0 v1", "finish 0", "train 0", "sync v2", "measure v2", "row 0 waits"),
        *("begin 1 v2", "finish 1", "train 1", "measured v2", "late v2", "sync v3"),
        *("measure v3", "measured v3", "save 2"),  # a checkpoint's rows are whole
        *("begin 2 v3", "finish 2", "train 2", "sync v4", "measure v4", "measured v4", "save 3"),
    ]


@pytest.mark.parametrize(
    ("schedule", "background", "waits"),
    [
        *(("sync", "auto", 0), ("one-step-off", "auto", 0), ("async", "auto", 2)),
        *(("sync", "on", 2), ("one-step-off", "on", 2), ("async", "on", 2)),
        *(("sync", "off", 0), ("one-step-off", "off", 0), ("async", "off", 0)),
    ],
)
def test_whether_rows_wait_is_a_setting(schedule: Any, background: Any, waits: int) -> None:
    measured = EvalConfig(every=1, at_start=False, background=background)
    config = replace(QUIET, schedule=schedule, eval=measured, checkpoint=CheckpointConfig(every=0))
    log = logged(config)
    assert sum(entry.endswith("waits") for entry in log) == waits
    assert sum(entry.startswith("late") for entry in log) == waits
    assert [e for e in log if e.startswith("measured")] == [f"measured v{v}" for v in (2, 3, 4)]
    for version in (2, 3):  # one version answers all of a set
        assert log.index(f"measured v{version}") < log.index(f"sync v{version + 1}")


def test_what_is_measured_when_the_data_ends_is_not_lost() -> None:
    measured = EvalConfig(every=1, at_start=False, background="on")
    config = replace(QUIET, eval=measured, checkpoint=CheckpointConfig(every=0))
    log = logged(config, ends_at=1)
    assert log[-4:] == ["the data ended after 1 steps", "measured v2", "late v2", "save 1"]


@pytest.mark.parametrize("schedule", ["sync", "one-step-off"])
def test_the_end_of_the_data_ends_the_run_with_a_checkpoint(schedule: Any) -> None:
    log = logged(replace(QUIET, schedule=schedule), ends_at=1)
    assert log[-2:] == ["the data ended after 1 steps", "save 1"]
    assert "train 1" not in log
