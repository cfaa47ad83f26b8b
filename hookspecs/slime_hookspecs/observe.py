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
    """After all optimizer steps of one rollout."""

    step: int
    metrics: Mapping[str, float]


@final
@dataclass(frozen=True, slots=True)
class WeightsEvent:
    """After the servers took new weights."""

    step: int
    weight_version: int
    metrics: Mapping[str, float]


@final
@dataclass(frozen=True, slots=True)
class CheckpointEvent:
    """After a checkpoint was written whole."""

    step: int
    path: Path


@final
@dataclass(frozen=True, slots=True)
class RunEndEvent:
    """When the run is over. ``status`` is ``success``, ``error`` or ``interrupted``."""

    status: str
    steps_done: int
    summary: Mapping[str, Any]
