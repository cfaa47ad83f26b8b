"""Takes down what happens in a run: metrics, events, progress, and how it ended."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from slime_hookspecs import CheckpointEvent, RunEndEvent, RunInfo, TrainStepEvent, WeightsEvent

from slime_core.launch import Launch
from slime_core.observe.metrics import MetricsWriter
from slime_core.observe.names import REWARD
from slime_core.observe.observers import Failures, Observers, Trackers
from slime_core.observe.progress import Progress
from slime_core.observe.rundir import RunDir
from slime_core.observe.timeline import Timeline


@final
@dataclass(slots=True)
class Journal:
    """The one writer of a run's numbers. Observers and trackers hear of them from here.

    Attributes:
        run_dir: Where files go.
        steps_done: Steps that are finished.
    """

    run_dir: RunDir
    writer: MetricsWriter
    progress: Progress
    observers: Observers
    trackers: Trackers
    failures: Failures
    timeline: Timeline
    steps_done: int = 0
    _row: dict[str, float] = field(default_factory=dict)
    _unfinished: tuple[int, dict[str, float]] | None = None

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Show what is being done, and take its time as ``time/<name>_s``."""
        self.progress.phase(name)
        began = time.monotonic()
        with self.timeline.phase(name, step=self.steps_done):
            yield
        self._row[f"time/{name}_s"] = time.monotonic() - began

    def add(self, metrics: Mapping[str, float]) -> None:
        """Put numbers into the row of the step."""
        self._row |= metrics

    def add_late(self, metrics: Mapping[str, float]) -> None:
        """Put the numbers that the row of an earlier step waits for into it, and write it."""
        if self._unfinished is not None:
            step, row = self._unfinished
            self._unfinished = None
            self._write(step, row | dict(metrics))

    def trained(self, step: int, metrics: Mapping[str, float]) -> None:
        """The trainer took the updates of a step."""
        self.add(metrics)
        self.observers.notify("slime_on_train_step", TrainStepEvent(step, dict(metrics)))

    def weights(self, step: int, version: int, metrics: Mapping[str, float]) -> None:
        """The servers took new weights; without metrics there are no servers."""
        if not metrics:
            return
        self.add({**metrics, "sync/weight_version": float(version)})
        self.timeline.instant(f"weights {version}")
        self.observers.notify("slime_on_weights", WeightsEvent(step, version, dict(metrics)))

    def saved(self, step: int, path: Path) -> None:
        """A checkpoint is whole on disk."""
        self.observers.notify("slime_on_checkpoint", CheckpointEvent(step, path))

    def note(self, text: str) -> None:
        """Show a line that stays."""
        self.progress.note(text)

    def end_step(self, step: int, *, late: bool = False) -> None:
        """Write the row of a step; step -1 is what was measured before the first.

        Args:
            late: Something is still being measured: the row waits for ``add_late``.
        """
        row, self._row = self._row, {}
        self.steps_done = step + 1
        if late:
            self._unfinished = step, row
        else:
            self._write(step, row)

    def _write(self, step: int, row: dict[str, float]) -> None:
        row |= self.failures.metrics()
        self.writer.append(step, row)
        self.trackers.log(step, row)
        if step >= 0:
            self.timeline.counter("reward", mean=row.get(REWARD, math.nan))
            self.progress.step(step, row)

    def end_run(self, status: str, summary: Mapping[str, Any]) -> None:
        """Tell observers that the run is over."""
        event = RunEndEvent(status, self.steps_done, summary)
        self.observers.notify("slime_on_run_end", event)


@contextlib.contextmanager
def open_journal(launch: Launch, run_dir: RunDir, run: RunInfo, start: int) -> Iterator[Journal]:
    """A journal that continues after ``start`` steps, dropping rows that will come again."""
    failures = Failures()
    with MetricsWriter(run_dir.metrics_file) as writer, contextlib.ExitStack() as stack:
        writer.truncate_after(start - 1 if start else -2)
        trackers = Trackers.open(launch.bound, run, failures)
        stack.callback(trackers.close)
        bar = Progress(run.steps, launch.config.observe.progress, done=start)
        observers = Observers(launch.bound, run, failures)
        on = launch.config.observe.timeline
        timeline = Timeline.begin(run_dir.path, "driver", on=on)
        stack.callback(timeline.close, last=True)
        shown = stack.enter_context(bar)
        journal = Journal(run_dir, writer, shown, observers, trackers, failures, timeline, start)
        status = "error"
        try:
            yield journal
            status = "success"
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:
            journal.add_late({})  # a run that stops keeps the row that was waiting
            journal.end_run(status, {})
