"""What is kept beside a step's samples: times, what failed, what the timeline shows."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from rollout_fakes import FakeClient, config_of, hook, studio_of
from slime_hookspecs import (
    EvalSet,
    Group,
    PluginError,
    Prompt,
    Rollout,
    Sample,
    SampleError,
    TooManyFailures,
)

from slime_core.observe.timeline import FILE, Timeline
from slime_core.rollout import files, times
from slime_core.rollout.contexts import Scene
from slime_core.rollout.flights import Place
from slime_core.rollout.outcomes import Outcome
from slime_core.rollout.recorder import MOST_LOST, Recorder
from slime_core.rollout.saver import Saver
from slime_core.rollout.times import Times


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``clock.now`` is the time."""

    class Clock:
        now = 100.0

        def time(self) -> float:
            return self.now

    made = Clock()
    monkeypatch.setattr(times, "time", made)
    return made


def place_of(index: int, error: SampleError | None = None) -> Place:
    sample = Sample(index, index, Prompt(f"p{index}", []), error=error)
    return Place(sample, [sample])


def done(recorder: Recorder, clock: Any, index: int, seconds: float) -> Place:
    """A sample that begins now and takes so long."""
    place = place_of(index)
    place.times.queue()
    recorder.begin(place)
    clock.now += seconds
    place.times.end_generation()
    recorder.done(place)
    return place


def spans(folder: Path) -> list[int]:
    """Samples whose generation the timeline shows, in its order."""
    text = (folder / FILE).read_text()
    events = json.loads(text if text.endswith("]\n") else text + "]")
    return [e["args"]["sample"] for e in events if e["ph"] == "b" and e["name"] == "generate"]


def test_waiting_generating_and_scoring_are_told_apart_and_attempts_add_up(clock: Any) -> None:
    one = Times()
    for _ in range(2):
        one.queue()
        clock.now += 1.0
        one.begin()
        clock.now += 2.0
        one.end_generation()
        clock.now += 4.0
        one.end_rewards()
    assert (one.queue_s, one.generate_s, one.reward_s) == (2.0, 4.0, 8.0)
    assert one.to_dict() == {"began": 108.0, "queue_s": 2.0, "generate_s": 4.0, "reward_s": 8.0}


def test_a_sample_whose_rewards_alone_were_left_generated_nothing_more(clock: Any) -> None:
    one = Times()
    one.queue()
    one.begin()
    clock.now += 3.0
    one.end_rewards()
    assert (one.generate_s, one.reward_s) == (0.0, 3.0)


async def test_a_step_knows_how_long_each_of_its_samples_took() -> None:
    async def slow(sample: Sample, ctx: Any) -> float:
        await asyncio.sleep(0.02 if sample.index == 3 else 0)
        return 1.0

    studio, drawing = studio_of(config_of(concurrency=1), hook("slime_reward", slow))
    rollout = await studio.roll(Scene(0, 1), FakeClient(), drawing)
    samples = [sample for group in rollout.groups for sample in group.samples]
    known = studio.recorder.take(samples).times
    assert sorted(known) == [sample.index for sample in samples]
    assert known[3].reward_s >= 0.02
    assert all(one.began > 0 and one.queue_s >= 0 for one in known.values())
    assert max(known.values(), key=lambda one: one.queue_s) is not known[0]  # one after another


async def test_evaluations_leave_no_trace_in_a_steps_times() -> None:
    async def reward(sample: Sample, ctx: Any) -> float:
        return 1.0

    studio, _ = studio_of(config_of(), hook("slime_reward", reward))
    held_out = EvalSet("held", [Prompt("p", [{"role": "user", "content": "x"}])], 2)
    await studio.measure(Scene(0, 1, evaluating="held"), held_out, FakeClient())
    assert studio.recorder.take([Sample(0, 0, Prompt("p", []))]).times == {}


def test_times_of_samples_that_no_step_takes_are_forgotten(clock: Any) -> None:
    recorder = Recorder(patience=2)
    stale = done(recorder, clock, 1, 1.0).answer
    filtered = done(recorder, clock, 2, 1.0).answer
    recorder.ended(Outcome(Group(2, filtered[0].prompt, filtered), "filtered", "boring"))
    assert recorder.take([]).times == {}
    late = done(recorder, clock, 3, 1.0).answer
    assert list(recorder.take(late).times) == [3]
    assert recorder.take(filtered).times == {}
    assert recorder.take(stale).times == {}


def test_a_sample_that_is_taken_late_still_has_its_times(clock: Any) -> None:
    recorder = Recorder(patience=2)
    late = done(recorder, clock, 1, 1.0).answer
    recorder.take([])
    recorder.take([])
    assert recorder.take(late).times[1].generate_s == 1.0


def test_failed_groups_are_kept_for_one_step_and_not_without_end() -> None:
    recorder = Recorder()
    for index in range(MOST_LOST + 50):
        place = place_of(index, SampleError("p", "h", "E", "m"))
        recorder.ended(Outcome(Group(index, place.sample.prompt, place.answer), "failed", "h"))
    assert len(recorder.take([]).lost) == MOST_LOST
    assert recorder.take([]).lost == []


def test_the_timeline_shows_the_first_samples_and_the_slowest(tmp_path: Path, clock: Any) -> None:
    recorder = Recorder(Timeline.begin(tmp_path, "w"), samples=4)
    for index, seconds in enumerate((1, 1, 5, 2, 9, 3, 1)):
        done(recorder, clock, index, float(seconds))
    recorder.take([])
    assert spans(tmp_path) == [0, 1, 2, 4]
    assert "7 samples ended; spans of 4" in (tmp_path / FILE).read_text()


def test_each_step_has_its_own_first_and_slowest(tmp_path: Path, clock: Any) -> None:
    recorder = Recorder(Timeline.begin(tmp_path, "w"), samples=2)
    for step in range(2):
        for index in range(3):
            done(recorder, clock, 10 * step + index, 1.0 + index)
        recorder.take([])
    assert spans(tmp_path) == [0, 2, 10, 12]


@pytest.mark.parametrize("samples", [0, 1, 2, 3, 1000])
def test_no_step_shows_more_than_it_may(tmp_path: Path, clock: Any, samples: int) -> None:
    recorder = Recorder(Timeline.begin(tmp_path, "w"), samples=samples)
    for index in range(20):
        done(recorder, clock, index, 1.0)
    recorder.take([])
    assert len(spans(tmp_path)) == min(samples, 20)


def test_samples_of_a_killed_step_are_there_already(tmp_path: Path, clock: Any) -> None:
    timeline = Timeline.begin(tmp_path, "w")
    recorder = Recorder(timeline, samples=8)
    done(recorder, clock, 0, 1.0)
    timeline.flush()
    assert spans(tmp_path) == [0]


def failing_studio(tmp_path: Path) -> Any:
    async def broken(sample: Sample, ctx: Any) -> float:
        raise PluginError("the judge is gone")

    return studio_of(config_of(max_failed_fraction=0.1), hook("slime_reward", broken))


async def test_what_failed_can_be_read_where_too_much_failed_to_go_on(tmp_path: Path) -> None:
    studio, drawing = failing_studio(tmp_path)
    saver = Saver(tmp_path, "jsonl.zst", studio.recorder)
    with pytest.raises(TooManyFailures):
        async with saver.losses(Scene(3, 2)):
            await studio.roll(Scene(3, 2), FakeClient(), drawing)
    await saver.close()
    rows = [json.loads(line) for line in files.lines(files.path_of(tmp_path, 3))]
    assert rows
    assert all(row["fate"].startswith("failed/") for row in rows)
    assert all("the judge is gone" in row["error"]["message"] for row in rows)
    assert all(row["trace"][-1]["kind"] == "sampled" and row["times"] for row in rows)


async def test_where_nothing_is_to_be_saved_nothing_is(tmp_path: Path) -> None:
    studio, drawing = failing_studio(tmp_path)
    saver = Saver(None, "jsonl.zst", studio.recorder)
    with pytest.raises(TooManyFailures):
        async with saver.losses(Scene(3, 2)):
            await studio.roll(Scene(3, 2), FakeClient(), drawing)
    await saver.close()
    assert list(tmp_path.iterdir()) == []


async def test_an_end_without_failed_samples_leaves_no_empty_file(tmp_path: Path) -> None:
    saver = Saver(tmp_path, "jsonl.zst", Recorder())
    with pytest.raises(PluginError):
        async with saver.losses(Scene(3, 2)):
            raise PluginError("something else")
    await saver.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_step_does_not_wait_until_its_rollout_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, order = threading.Event(), []

    def slow(folder: Path, rollout: Rollout, form: str, **_: Any) -> None:
        assert go.wait(30)
        order.append(rollout.step)

    monkeypatch.setattr("slime_core.rollout.saved.save", slow)
    saver = Saver(tmp_path, "jsonl", Recorder())
    await saver.save(Rollout(0, [], 1))
    second = asyncio.create_task(saver.save(Rollout(1, [], 1)))
    await asyncio.sleep(0.01)
    assert (order, second.done()) == ([], False)
    go.set()
    await second
    await saver.close()
    assert order == [0, 1]


async def test_a_disk_that_is_full_ends_the_run_at_the_next_step_and_not_its_cleaning_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("slime_core.rollout.saved.save", full)
    saver = Saver(tmp_path, "jsonl", Recorder())
    await saver.save(Rollout(0, [], 1))
    with pytest.raises(OSError, match="No space"):
        await saver.save(Rollout(1, [], 1))
    await saver.save(Rollout(2, [], 1))
    await saver.close()
    assert "the last rollout was not saved" in caplog.text
