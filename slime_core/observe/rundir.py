"""The run directory: everything that a run was given, and everything that it left.

::

    <run>/
      config.json       the resolved configuration
      plan.json         the frozen plugins
      metrics.jsonl     one row a step
      summary.json      how it ended; see ``observe.summary``
      report.html       the same for a person
      timeline.json     what every process did when, for Perfetto
      rollouts/         saved rollouts, one file a step
      checkpoints/      step_000020/ holds the run after 20 steps
      logs/             driver, servers, ranks
      plugins/<name>/   whatever a plugin writes
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, Final, final

from slime_hookspecs.errors import ConfigError

PARTIAL: Final = ".tmp"
"""Suffix of a checkpoint that is being written or removed."""

_COMPLETE: Final = re.compile(r"step_(\d{6,})")


@final
@dataclass(frozen=True, slots=True)
class RunDir:
    """Names of the files of one run. Holds no state; two of them may look at one folder.

    Attributes:
        path: The folder, absolute.
    """

    path: Path

    @classmethod
    def create(cls, path: Path, config: Any, plan_json: str | Mapping[str, Any]) -> RunDir:
        """Make the folder of a new run and write what it was given.

        Args:
            path: A folder that is empty or not there yet.
            config: A ``Config`` or a mapping of its fields.
            plan_json: The plan as ``Plan.to_json`` returns it, text or mapping.

        Raises:
            ConfigError: the folder holds something, or cannot be made.
        """
        _check_free(path)
        run = cls(path.absolute())
        try:
            for folder in (run.rollouts, run.checkpoints, run.logs, run.plugins):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--run-dir {path}: cannot make this folder: {error}") from error
        plan = json.loads(plan_json) if isinstance(plan_json, str) else dict(plan_json)
        write_json(run.plan_file, plan)
        write_json(run.config_file, asdict(config) if _is_record(config) else dict(config))
        return run

    @classmethod
    def open(cls, path: Path) -> RunDir:
        """The folder of a run that exists.

        Raises:
            ConfigError: it is not there, or not a run directory.
        """
        if not path.is_dir():
            raise ConfigError(f"{path}: no such run directory")
        run = cls(path.absolute())
        missing = [file.name for file in (run.config_file, run.plan_file) if not file.is_file()]
        if missing:
            raise ConfigError(
                f"{path}: not a run directory: it has no {' and no '.join(missing)}."
                f"{_nearby_runs(path)}"
            )
        return run

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.json"

    @property
    def plan_file(self) -> Path:
        """The frozen plugins."""
        return self.path / "plan.json"

    @property
    def metrics_file(self) -> Path:
        """One JSON row a step."""
        return self.path / "metrics.jsonl"

    @property
    def summary_file(self) -> Path:
        """How the run ended."""
        return self.path / "summary.json"

    @property
    def report_file(self) -> Path:
        """The page for a person."""
        return self.path / "report.html"

    @property
    def rollouts(self) -> Path:
        """Saved rollouts."""
        return self.path / "rollouts"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints, one folder each."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """Logs of all processes."""
        return self.path / "logs"

    @property
    def plugins(self) -> Path:
        """Parent of the plugins' own folders."""
        return self.path / "plugins"

    def read_config(self) -> dict[str, Any]:
        """The configuration as JSON values."""
        return read_json(self.config_file)

    def read_plan(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return read_json(self.plan_file)

    def read_summary(self) -> dict[str, Any]:
        """The summary, empty while the run has none."""
        return read_json(self.summary_file) if self.summary_file.is_file() else {}

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write how the run ended, in the shape of ``observe.summary.summarise``."""
        write_json(self.summary_file, summary)

    def checkpoint(self, step: int) -> Path:
        """Folder of the checkpoint after ``step`` steps."""
        return self.checkpoints / f"step_{step:06d}"

    def partial_checkpoint(self, step: int) -> Path:
        """An empty folder to write a checkpoint into, until ``commit_checkpoint``."""
        partial = self.checkpoints / f"step_{step:06d}{PARTIAL}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        return partial

    def commit_checkpoint(self, step: int) -> Path:
        """Give a checkpoint that was written whole its final name, at once."""
        final_path = self.checkpoint(step)
        if final_path.exists():
            _remove(final_path)
        (self.checkpoints / f"step_{step:06d}{PARTIAL}").rename(final_path)
        return final_path

    def complete_checkpoints(self) -> list[Path]:
        """Checkpoints that are whole, oldest first."""
        if not self.checkpoints.is_dir():
            return []
        whole = (p for p in self.checkpoints.iterdir() if _is_complete(p))
        return sorted(whole, key=checkpoint_step)

    def latest_checkpoint(self) -> Path | None:
        """The newest checkpoint that is whole."""
        whole = self.complete_checkpoints()
        return whole[-1] if whole else None

    def prune(self, keep: int) -> list[Path]:
        """Remove all but the ``keep`` newest checkpoints, at least one, and older leftovers.

        Returns:
            The checkpoints that were removed, oldest first.
        """
        whole = self.complete_checkpoints()
        removed = whole[: -max(keep, 1)]
        for path in removed:
            _remove(path)
        if whole:
            self._remove_leftovers(checkpoint_step(whole[-1]))
        return removed

    def _remove_leftovers(self, newest: int) -> None:
        for partial in self.checkpoints.glob(f"step_*{PARTIAL}"):
            match = _COMPLETE.fullmatch(partial.name.partition(".")[0])
            if match and int(match[1]) <= newest:
                shutil.rmtree(partial, ignore_errors=True)


def checkpoint_step(path: Path) -> int:
    """Steps done when a checkpoint was written, from its name.

    Raises:
        ConfigError: the name is not ``step_`` and at least six digits.
    """
    match = _COMPLETE.fullmatch(path.name)
    if match is None:
        raise ConfigError(f"{path}: not a checkpoint: its name would be like step_000020")
    return int(match[1])


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ConfigError: the file does not hold one.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: holds a JSON {type(value).__name__}, not an object")
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object so that a reader sees the old file or the whole new one."""
    partial = path.with_name(path.name + PARTIAL)
    partial.write_text(json.dumps(value, indent=2, default=_plain) + "\n", "utf-8")
    partial.replace(path)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if _is_record(value):
        return asdict(value)
    if hasattr(value, "item"):  # a NumPy or torch number
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r} has no JSON form")


def _is_record(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _check_free(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise ConfigError(f"--run-dir {path}: is a file; give a new folder")
    if path.is_dir() and any(path.iterdir()):
        what = "a run is already there" if (path / "config.json").is_file() else "is not empty"
        raise ConfigError(
            f"--run-dir {path}: {what}. Continue it with --resume {path}, "
            "or give another --run-dir."
        )


def _nearby_runs(path: Path) -> str:
    """Names a run that lies inside or around ``path``, for someone who was one folder off."""
    around = [*sorted(p for p in path.iterdir() if p.is_dir()), *path.absolute().parents[:2]]
    found = [
        str(p) for p in around if (p / "config.json").is_file() and (p / "plan.json").is_file()
    ]
    return f" Perhaps {found[-1]}?" if found else ""


def _is_complete(path: Path) -> bool:
    return bool(_COMPLETE.fullmatch(path.name)) and path.is_dir() and any(path.iterdir())


def _remove(path: Path) -> None:
    """Delete a checkpoint. Renamed first, so that one half deleted never looks whole."""
    doomed = path.with_name(f"{path.name}.old{PARTIAL}")
    shutil.rmtree(doomed, ignore_errors=True)
    path.rename(doomed)
    shutil.rmtree(doomed)
