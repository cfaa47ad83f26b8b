"""The journal of a run's events, written from several processes."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from rollout_fakes import FakeClient, config_of, hook, studio_of
from slime_hookspecs import (
    KEEP,
    CheckpointEvent,
    Context,
    Group,
    Prompt,
    Rollout,
    RunEndEvent,
    RunInfo,
    Sample,
    TrainStepEvent,
    Verdict,
    WeightsEvent,
)

from slime_core.builtin import events
from slime_core.config.schema import Config
from slime_core.observe.observers import Failures, Observers, Trackers
from slime_core.plugins import BoundHook, bind
from slime_core.rollout.contexts import Scene

PROMPT = Prompt("p", [{"role": "user", "content": "1+1="}])
WRITERS, LINES = 4, 150


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    return RunInfo("t", tmp_path, tmp_path, 0, 9, 4, 2, 16)


@pytest.fixture
def ctx(run: RunInfo) -> Context[Any]:
    return Context(run, events.Options(), step=3)


def lines(directory: Path) -> list[dict[str, Any]]:
    """All lines without their time, which must be there."""
    rows = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    assert all(row.pop("time") > 1.7e9 for row in rows)
    return rows


def test_a_driver_tells_of_all_that_happens_in_order(run: RunInfo) -> None:
    _, bound = bind(Config(plugins=["events"]), [])
    failures = Failures()
    trackers = Trackers.open(bound, run, failures)
    observers = Observers(bound, run, failures)
    told: list[tuple[str, Any]] = [
        ("slime_on_weights", WeightsEvent(0, 1, {"sync/seconds": 0.5})),
        ("slime_on_train_step", TrainStepEvent(0, {"train/loss": float("nan"), "train/kl": 0.1})),
        ("slime_on_checkpoint", CheckpointEvent(1, run.directory / "checkpoints" / "step_000001")),
        ("slime_on_run_end", RunEndEvent("success", 1, {"best": {"step": 0}, "of": [1, None]})),
    ]
    for name, event in told:
        observers.notify(name, event)
    trackers.log(0, {"reward/mean": 1.0})
    trackers.close()
    assert failures.metrics() == {}
    assert lines(run.directory) == [
        {"event": "weights", "step": 0, "weight_version": 1, "metrics": {"sync/seconds": 0.5}},
        {"event": "train_step", "step": 0, "metrics": {"train/loss": None, "train/kl": 0.1}},
        {
            "event": "checkpoint",
            "step": 1,
            "path": str(run.directory / "checkpoints" / "step_000001"),
        },
        {
            "event": "run_end",
            "status": "success",
            "steps_done": 1,
            "summary": {"best": {"step": 0}, "of": [1, None]},
        },
    ]


def test_a_group_tells_rewards_ends_and_the_verdict(ctx: Context[Any]) -> None:
    samples = [Sample(i, 5, PROMPT, reward=reward) for i, reward in enumerate((1.0, None))]
    samples[0].trace.append_sampled([1, 2], [-1.0, -1.0], 1)
    verdict = Verdict(keep=False, reason="equal_rewards")
    events.slime_on_group(Group(5, PROMPT, samples), verdict, ctx)
    assert lines(ctx.run.directory) == [
        {
            "event": "group",
            "step": 3,
            "group": 5,
            "prompt": "p",
            "rewards": [1.0, None],
            "tokens": [2, 0],
            "stops": {"pending": 2},
            "keep": False,
            "reason": "equal_rewards",
        }
    ]


def test_lines_of_groups_can_be_left_out(run: RunInfo) -> None:
    quiet: Context[Any] = Context(run, events.Options(groups=False))
    events.slime_on_group(Group(0, PROMPT, []), KEEP, quiet)
    events.slime_on_rollout(Rollout(0, [], 1), quiet)
    assert [row["event"] for row in lines(run.directory)] == ["rollout"]


async def test_a_rollout_as_it_runs_has_a_line_a_group_and_one_a_step(run: RunInfo) -> None:
    _, bound = bind(Config(plugins=["events"]), [])
    watching = [*bound.all("slime_on_group"), *bound.all("slime_on_rollout")]

    def here(one: BoundHook) -> Any:
        """The hook, told of this run's directory; the fakes' run has none."""

        async def call(subject: Any, *more: Any) -> None:
            one.call(subject, *more[:-1], Context(run, events.Options(), step=more[-1].step))

        return hook(one.hook, call, "events")

    studio, drawing = studio_of(config_of(), *map(here, watching))
    rollout = await studio.roll(Scene(2, 1), FakeClient(), drawing)
    await studio.announce(Scene(2, 1), rollout)
    rows = lines(run.directory)
    assert [row["event"] for row in rows] == ["group"] * 4 + ["rollout"]
    assert {row["prompt"] for row in rows[:-1]} == {"p0", "p1", "p2", "p3"}
    assert {row["step"] for row in rows} == {2}
    assert (rows[-1]["groups"], rows[-1]["samples"]) == (4, 8)
    assert rows[-1]["metrics"]["prompts/trained"] == 4


def write(directory: Path, writer: int) -> None:
    for number in range(LINES):
        told = {"writer": writer, "number": number, "text": chr(97 + writer) * 20_000}
        events.append(directory, "test", told)


def test_processes_that_write_side_by_side_leave_whole_lines_each_in_its_order(
    tmp_path: Path,
) -> None:
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=write, args=(tmp_path, one)) for one in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rows = lines(tmp_path)
    assert len(rows) == WRITERS * LINES
    assert all(row["text"] == chr(97 + row["writer"]) * 20_000 for row in rows)
    for writer_number in range(WRITERS):
        order = [row["number"] for row in rows if row["writer"] == writer_number]
        assert order == list(range(LINES))


def test_a_resumed_run_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for step in (1, 1, 2):
        events.append(tmp_path, "test", {"step": step})
    assert [row["step"] for row in lines(tmp_path)] == [1, 1, 2]


def test_a_line_that_was_written_in_part_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.write", lambda file, line: len(line) - 1)
    with pytest.raises(OSError, match="in part; is the disk full"):
        events.append(tmp_path, "test", {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("inf"), None),
        ((1, 2.5), [1, 2.5]),
        ({1: Path("a/b")}, {"1": "a/b"}),
        ([None, True, "x"], [None, True, "x"]),
        ({"a": [{"b": float("nan")}]}, {"a": [{"b": None}]}),
    ],
)
def test_what_json_has_no_word_for_is_written_as_what_it_has(
    value: Any, expected: Any, tmp_path: Path
) -> None:
    events.append(tmp_path, "test", {"value": value})
    assert lines(tmp_path) == [{"event": "test", "value": expected}]
