"""A run whose rollouts are looked at: finished, failed or going on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

from slime_hookspecs.errors import ConfigError

from slime_core.observe.rundir import read_json
from slime_core.rollout import files


@final
@dataclass(frozen=True)
class SavedRun:
    """What is known of a run, and the files of its steps.

    Attributes:
        path: The run directory.
        steps: The file of each step.
        config: The resolved configuration; empty where only a folder of rollouts is left.
    """

    path: Path
    steps: dict[int, Path]
    config: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> SavedRun:
        """The run of a run directory or of its ``rollouts`` folder.

        Raises:
            ConfigError: there is none, or it has no rollouts.
        """
        if not path.is_dir():
            raise ConfigError(f"{path}: no such run directory")
        inside = files.found(path, unfinished=True)
        run = path.absolute().parent if inside else path.absolute()
        steps = inside or files.found(run / "rollouts", unfinished=True)
        config: dict[str, Any] = {}
        with suppress(ConfigError):
            config = read_json(run / "config.json")
        if not steps:
            raise ConfigError(f"{path}: {_why_none(run, config)}")
        return cls(run, steps, config)

    @cached_property
    def model(self) -> Path | None:
        """The model that the run began with."""
        return Path(self.config["model"]) if self.config.get("model") else None

    @property
    def masks_stale(self) -> bool:
        """Whether tokens of older weights than the step's were not trained on."""
        return bool(self.config.get("mask_stale_tokens"))

    def paths(self, steps: list[int] | None) -> list[Path]:
        """The files of these steps, or of all."""
        return [self.steps[step] for step in (self.steps if steps is None else steps)]


def _why_none(run: Path, config: dict[str, Any]) -> str:
    if not config:
        return "neither a run directory nor a folder of rollouts"
    if config.get("rollout", {}).get("save") is False:
        return "its rollouts were not saved: it was started with --no-rollout-save"
    ended = ""
    with suppress(ConfigError):
        error = read_json(run / "summary.json").get("error")
        ended = f"; it ended with {str(error).splitlines()[0]}" if error else ""
    return f"no step has been saved yet (--rollout-save writes each as it is made){ended}"
