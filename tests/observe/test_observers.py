"""Observers and trackers may be as broken as they like: the run goes on, and it is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import PluginError, RunInfo, TrainStepEvent

from slime_core.observe.observers import Failures, Observers, Trackers

EVENT = TrainStepEvent(3, {"a": 1.0})
RUN = RunInfo("r", Path("/r"), Path("/m"), 0, 1, 1, 1, 1)


@dataclass(frozen=True)
class Bound:
    """Hooks by name, as the plan would give them."""

    hooks: Mapping[str, tuple[Any, ...]]

    def all(self, hook: str) -> tuple[Any, ...]:
        """Those of one name."""
        return self.hooks.get(hook, ())


@dataclass(frozen=True)
class Hook:
    """One bound function."""

    plugin: str
    function: Callable[..., Any]
    options: Any = None

    @property
    def is_async(self) -> bool:
        """Whether it is a coroutine function."""
        return asyncio.iscoroutinefunction(self.function)

    def call(self, *arguments: Any) -> Any:
        """Call it."""
        return self.function(*arguments)


class Tracker:
    """Keeps what it is told; fails when told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.rows: list[tuple[int, Mapping[str, float]]] = []
        self.closed = 0
        self.fails = fails

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep a row."""
        if self.fails:
            raise ConnectionError("dashboard is down")
        self.rows.append((step, metrics))

    def close(self) -> None:
        """Count."""
        self.closed += 1


def boom(*_event: object) -> None:
    """A broken observer."""
    raise ValueError("bad")


def observers(*hooks: Hook) -> Observers:
    """Of the train step."""
    return Observers(Bound({"slime_on_train_step": hooks}), RUN)


def test_every_observer_is_told_in_order_of_the_plan() -> None:
    told: list[tuple[str, Any]] = []
    observers(
        Hook("a", lambda *given: told.append(("a", *given)), "options of a"),
        Hook("b", lambda *given: told.append(("b", *given))),
    ).notify("slime_on_train_step", EVENT)
    assert told == [("a", EVENT, "options of a", RUN), ("b", EVENT, None, RUN)]


def test_an_asynchronous_observer_runs_to_its_end() -> None:
    told: list[str] = []

    async def slow(*_event: object) -> None:
        await asyncio.sleep(0.01)
        told.append("done")

    observers(Hook("a", slow)).notify("slime_on_train_step", EVENT)
    assert told == ["done"]


def test_a_hook_that_nobody_observes_is_nothing() -> None:
    watching = observers()
    watching.notify("slime_on_weights", EVENT)
    assert watching.metrics() == {}


def test_one_that_raises_is_counted_warned_of_once_and_hides_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[object] = []

    async def boom_async(*_event: object) -> None:
        raise RuntimeError("worse")

    watching = observers(
        Hook("bad", boom),
        Hook("worse", boom_async),
        Hook("good", lambda *given: told.append(given)),
    )
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            watching.notify("slime_on_train_step", EVENT)
    assert len(told) == 3
    assert watching.metrics() == {"observer_errors/bad": 3.0, "observer_errors/worse": 3.0}
    messages = [r.getMessage() for r in caplog.records]
    assert len(messages) == 2
    assert messages[0].startswith("plugin bad, hook slime_on_train_step: ValueError: bad")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
def test_what_stops_a_run_is_not_swallowed(stop: type[BaseException]) -> None:
    def raise_it(*_event: object) -> None:
        raise stop

    with pytest.raises(stop):
        observers(Hook("a", raise_it)).notify("slime_on_train_step", EVENT)


def trackers(*hooks: Hook) -> Trackers:
    """Opened."""
    return Trackers.open(Bound({"slime_tracker": hooks}), RUN)


def test_a_tracker_gets_its_options_every_row_and_one_close() -> None:
    opened: list[tuple[Any, RunInfo]] = []
    tracker = Tracker()

    def open_it(options: Any, run: RunInfo) -> Tracker:
        opened.append((options, run))
        return tracker

    tracking = trackers(Hook("a", open_it, options="my options"))
    tracking.log(0, {"x": 1.0})
    tracking.log(1, {"x": 2.0})
    tracking.close()
    tracking.close()
    assert opened == [("my options", RUN)]
    assert tracker.rows == [(0, {"x": 1.0}), (1, {"x": 2.0})]
    assert tracker.closed == 1


def test_a_tracker_that_fails_costs_no_other_and_is_counted() -> None:
    good, bad = Tracker(), Tracker(fails=True)

    def fail(_options: Any, _run: RunInfo) -> Tracker:
        raise OSError("no disk")

    tracking = trackers(
        Hook("broken", fail), Hook("bad", lambda *_: bad), Hook("good", lambda *_: good)
    )
    tracking.log(0, {})
    tracking.close()
    assert len(good.rows) == 1
    assert (good.closed, bad.closed) == (1, 1)
    assert tracking.metrics() == {"observer_errors/broken": 1.0, "observer_errors/bad": 1.0}


def test_a_tracker_that_cannot_work_here_stops_the_run_before_it_starts() -> None:
    def missing(_options: Any, _run: RunInfo) -> Tracker:
        raise PluginError("pip install it")

    with pytest.raises(PluginError, match="pip install it"):
        trackers(Hook("a", missing))


def test_observers_and_trackers_may_count_together() -> None:
    failures = Failures()
    watching = Observers(Bound({"slime_on_train_step": (Hook("p", boom),)}), RUN, failures)
    tracking = Trackers.open(
        Bound({"slime_tracker": (Hook("p", lambda *_: Tracker(fails=True)),)}), RUN, failures
    )
    watching.notify("slime_on_train_step", EVENT)
    tracking.log(0, {})
    assert failures.metrics() == {"observer_errors/p": 2.0}
