"""How a run ended, as the one JSON object that scripts, the report and the demo read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

from slime_core.observe.metrics import Row
from slime_core.observe.names import PHASES, phase_times

Status = Literal["success", "error", "interrupted"]


class Summary(TypedDict):
    """The shape of ``summary.json``."""

    #: how it ended
    status: Status
    #: what the run died of, else null
    error: str | None
    #: training steps that are done, those of earlier runs included
    steps_done: int
    #: seconds that this command took; ``times_s`` has the earlier parts of a resumed run too
    wall_s: float
    #: seconds by phase over all steps, ``start`` before them, and ``other``: the rest of ``wall_s``
    times_s: dict[str, float]
    #: metrics of the first and last step
    first: dict[str, float]
    last: dict[str, float]
    #: held-out metrics, ``eval/<set>/...``, first and last measured
    eval_before: dict[str, float]
    eval_after: dict[str, float]
    #: newest checkpoint, and the folder of the trained HF model
    checkpoint: str | None
    hf: str | None
    #: distribution, version and code of each plugin
    plugins: dict[str, str]


def summarise(
    rows: Sequence[Row],
    *,
    status: Status,
    wall_s: float,
    steps_done: int | None = None,
    error: str | None = None,
    times_s: Mapping[str, float] | None = None,
    eval_before: Mapping[str, float] | None = None,
    eval_after: Mapping[str, float] | None = None,
    checkpoint: Path | None = None,
    hf: Path | None = None,
    plugins: Mapping[str, str] | None = None,
) -> Summary:
    """The summary of a run from its metrics and what only the driver knows.

    Args:
        rows: All rows of the metrics file.
        status: How the run ended.
        wall_s: Seconds from the start of the command to its end.
        steps_done: Steps done; by default up to the last that has a row.
        error: What the run died of.
        times_s: Seconds of phases outside the steps, as ``{"start": 20.0}``; added to the rows'.
        eval_before: First held-out metrics; by default those of the first row that has some.
        eval_after: Last held-out metrics; by default those of the last row that has some.
        checkpoint: Newest checkpoint.
        hf: Folder of the trained model.
        plugins: Distribution, version and code of each plugin.
    """
    steps = [row for row in rows if _is_step(row)]
    measured = [found for row in rows if (found := _held_out(row))]
    times = _times(rows, times_s or {})
    return {
        "status": status,
        "error": error,
        "steps_done": _steps_done(steps) if steps_done is None else steps_done,
        "wall_s": round(wall_s, 3),
        "times_s": {**times, "other": round(max(0.0, wall_s - sum(times.values())), 3)},
        "first": _numbers(steps[0]) if steps else {},
        "last": _numbers(steps[-1]) if steps else {},
        "eval_before": dict(eval_before or (measured[0] if measured else {})),
        "eval_after": dict(eval_after or (measured[-1] if measured else {})),
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "hf": None if hf is None else str(hf),
        "plugins": dict(plugins or {}),
    }


def _times(rows: Sequence[Row], outside: Mapping[str, float]) -> dict[str, float]:
    total = dict(outside)
    for row in rows:
        for phase, seconds in phase_times(row).items():
            if seconds == seconds:  # not NaN
                total[phase] = total.get(phase, 0.0) + seconds
    known = [phase for phase in ("start", *PHASES) if phase in total]
    ordered = [*known, *(phase for phase in total if phase not in known)]
    return {phase: round(total[phase], 3) for phase in ordered}


def _is_step(row: Row) -> bool:
    """Whether this is the row of a training step; step -1 is what was measured before the first."""
    return int(row["step"]) >= 0


def _steps_done(steps: Sequence[Row]) -> int:
    return 1 + max((row["step"] for row in steps), default=-1)


def _held_out(row: Row) -> dict[str, float]:
    return {name: value for name, value in _numbers(row).items() if name.startswith("eval/")}


def _numbers(row: Row) -> dict[str, float]:
    """Finite metrics of a row."""
    return {
        name: float(value)
        for name, value in row.items()
        if name not in ("step", "time") and value == value
    }
