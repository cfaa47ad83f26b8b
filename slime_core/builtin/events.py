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
from typing import Any, Final

from slime_hookspecs import (
    CheckpointEvent,
    Context,
    Group,
    Rollout,
    RunEndEvent,
    RunInfo,
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


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
def slime_on_group(group: Group, verdict: Verdict, ctx: Context[Options]) -> None:
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
def slime_on_rollout(rollout: Rollout, ctx: Context[Options]) -> None:
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
def slime_on_train_step(event: TrainStepEvent, run: RunInfo) -> None:
    """An update."""
    append(run.directory, "train_step", {"step": event.step, "metrics": event.metrics})


@hookimpl
def slime_on_weights(event: WeightsEvent, run: RunInfo) -> None:
    """New weights on the servers."""
    told = {"step": event.step, "weight_version": event.weight_version}
    append(run.directory, "weights", {**told, "metrics": event.metrics})


@hookimpl
def slime_on_checkpoint(event: CheckpointEvent, run: RunInfo) -> None:
    """A checkpoint."""
    append(run.directory, "checkpoint", {"step": event.step, "path": event.path})


@hookimpl
def slime_on_run_end(event: RunEndEvent, run: RunInfo) -> None:
    """The end."""
    told = {"status": event.status, "steps_done": event.steps_done}
    append(run.directory, "run_end", {**told, "summary": event.summary})


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
