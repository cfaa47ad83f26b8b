"""Sends every metric to TensorBoard; look at it with ``tensorboard --logdir runs``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from slime_hookspecs import PluginError, RunInfo, Tracker, hookimpl


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the tensorboard plugin."""

    directory: Path | None = field(
        default=None, metadata={"help": "folder for event files; <run>/tensorboard if unset"}
    )


@final
class TensorBoardTracker:
    """Writes scalars as TensorBoard event files.

    Uses the ``tensorboard`` package alone; ``torch.utils.tensorboard`` would import torch as well.
    """

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write all metrics of a step, and flush them."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
def slime_tracker(options: Options, run: RunInfo) -> Tracker:
    """Open an event file in the run directory, or where ``--tensorboard.directory`` says."""
    try:
        from tensorboard.summary import Writer
    except ImportError as error:
        raise PluginError(
            f"plugin tensorboard: the package tensorboard cannot be imported ({error}). "
            "Install it: pip install 'slime-rl[tensorboard]'"
        ) from error
    return TensorBoardTracker(Writer(str(options.directory or run.directory / "tensorboard")))
