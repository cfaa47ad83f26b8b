"""What observers and trackers are told. None of them can change or stop a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final


class Tracker(Protocol):
    """Somewhere to send metrics: TensorBoard, a dashboard, a database."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Called once a step, in the driver, with all metrics of the step."""

    def close(self) -> None:
        """Called once, whatever way the run ends."""


@final
@dataclass(frozen=True, slots=True)
class TrainStepEvent:
    """After all optimizer steps of one rollout.

    Attributes:
        step: Number of the step, from 0.
        metrics: The trainer's numbers of the step, by name.
    """

    step: int
    metrics: Mapping[str, float]


@final
@dataclass(frozen=True, slots=True)
class WeightsEvent:
    """After the servers took new weights.

    Attributes:
        step: How many steps are done.
        weight_version: Version of the weights that the servers hold now.
        metrics: What the update took, by name.
    """

    step: int
    weight_version: int
    metrics: Mapping[str, float]


@final
@dataclass(frozen=True, slots=True)
class CheckpointEvent:
    """After a checkpoint was written whole.

    Attributes:
        step: How many steps it holds.
        path: Its folder.
    """

    step: int
    path: Path


@final
@dataclass(frozen=True, slots=True)
class RunEndEvent:
    """When the run is over.

    Attributes:
        status: ``success``, ``error`` or ``interrupted``.
        steps_done: How many steps were trained on.
        summary: What the run's ``summary.json`` holds.
    """

    status: str
    steps_done: int
    summary: Mapping[str, Any]
