"""A journal for other programs: each event of a run is a line of JSON in ``<run>/events.jsonl``.

``tail -f`` shows a run as it goes. Each line has ``time`` (seconds since 1970), ``event`` (the
hook without ``slime_on_``) and what was told, NaN and infinity as null. A run that was resumed
goes on in the same file. Rollout process and driver both write: a line is one ``write`` to a file
opened with ``O_APPEND``, which POSIX lets nothing come between (write(2), on local file systems;
https://pubs.opengroup.org/onlinepubs/9799919799/functions/write.html).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from slime_hookspecs import (
    CheckpointEvent,
    Context,
    Group,
    PluginError,
    Rollout,
    RunEndEvent,
    RunInfo,
    Tracker,
    TrainStepEvent,
    Verdict,
    WeightsEvent,
    hookimpl,
)

FILE: Final = "events.jsonl"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``events``.

    Attributes:
        groups: Whether each group has a line.
    """

    groups: bool = field(default=True, metadata={"help": "write a line for each group too"})


@final
class Events:
    """The plugin: an instance, because events of the driver do not say where the run is.

    The driver opens trackers before step 0, and so this one is told.
    """

    def __init__(self) -> None:
        self._directory: Path | None = None

    @hookimpl
    def slime_options(self) -> type:
        """The options class."""
        return Options

    @hookimpl
    def slime_tracker(self, run: RunInfo) -> Tracker:
        """Note where the run is. Metrics themselves are in ``metrics.jsonl``."""
        self._directory = run.directory
        return NoTracker()

    @hookimpl
    def slime_on_group(self, group: Group, verdict: Verdict, ctx: Context[Options]) -> None:
        """Rewards and ends of a group, and what the filters said."""
        if ctx.options.groups:
            told = {
                "group": group.index,
                "prompt": group.prompt.id,
                "rewards": [sample.reward for sample in group.samples],
                "tokens": [sample.trace.sampled_length for sample in group.samples],
                "stops": Counter(sample.stop.value for sample in group.samples),
                "keep": verdict.keep,
                "reason": verdict.reason,
            }
            append(ctx.run.directory, "group", {"step": ctx.step, **told})

    @hookimpl
    def slime_on_rollout(self, rollout: Rollout, ctx: Context[Options]) -> None:
        """A step's data."""
        told = {
            "step": rollout.step,
            "weight_version": rollout.weight_version,
            "groups": len(rollout.groups),
            "samples": sum(len(group.samples) for group in rollout.groups),
            "metrics": rollout.metrics,
        }
        append(ctx.run.directory, "rollout", told)

    @hookimpl
    def slime_on_train_step(self, event: TrainStepEvent) -> None:
        """An update."""
        self._append("train_step", {"step": event.step, "metrics": event.metrics})

    @hookimpl
    def slime_on_weights(self, event: WeightsEvent) -> None:
        """New weights on the servers."""
        told = {"step": event.step, "weight_version": event.weight_version}
        self._append("weights", {**told, "metrics": event.metrics})

    @hookimpl
    def slime_on_checkpoint(self, event: CheckpointEvent) -> None:
        """A checkpoint."""
        self._append("checkpoint", {"step": event.step, "path": event.path})

    @hookimpl
    def slime_on_run_end(self, event: RunEndEvent) -> None:
        """The end."""
        told = {"status": event.status, "steps_done": event.steps_done}
        self._append("run_end", {**told, "summary": event.summary})

    def _append(self, event: str, told: Mapping[str, Any]) -> None:
        if self._directory is None:
            raise PluginError(f"plugin events: told of {event} before slime_tracker was called")
        append(self._directory, event, told)


@final
class NoTracker:
    """A tracker that keeps nothing."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing: the core writes metrics itself."""

    def close(self) -> None:
        """Nothing is open."""


def append(directory: Path, event: str, told: Mapping[str, Any]) -> None:
    """Write one line, whole.

    Raises:
        OSError: the file cannot be written, or the disk is full.
    """
    row = {"time": round(time.time(), 3), "event": event, **told}
    line = json.dumps(_plain(row), allow_nan=False).encode() + b"\n"
    file = os.open(directory / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        if os.write(file, line) != len(line):
            raise OSError(f"{directory / FILE}: a line was written in part; is the disk full?")
    finally:
        os.close(file)


def _plain(value: Any) -> Any:
    """The value with nothing in it that JSON has no word for."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


plugin: Final = Events()
