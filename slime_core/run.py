"""One run from its checks to its report: what happens before and after the loop of ``train.py``."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from slime_hookspecs import RunInfo

from slime_core.config import to_dict
from slime_core.launch import Launch
from slime_core.machinery import machinery
from slime_core.observe.journal import open_journal
from slime_core.observe.logs import driver_logging
from slime_core.observe.metrics import read_metrics
from slime_core.observe.report import write_report
from slime_core.observe.rundir import RunDir, checkpoint_step, write_json
from slime_core.observe.summary import Status, summarise
from slime_core.preflight import check_resume, preflight
from slime_core.rollout.provenance import origins
from slime_core.train import train

_log = logging.getLogger("slime.run")


def run(launch: Launch) -> int:
    """Carry out a run from its checks to its report. Returns the exit status."""
    began = time.monotonic()
    info = preflight(launch)
    run_dir = open_run_dir(launch, info)
    with driver_logging(run_dir.logs):
        status: Status = "error"
        error: str | None = None
        start_s = 0.0
        try:
            checkpoint = run_dir.latest_checkpoint()
            start = checkpoint_step(checkpoint) if checkpoint else 0
            with (
                open_journal(launch, run_dir, info, start) as journal,
                interruptible(),
                machinery(
                    launch, run_dir, info, model_of(info, checkpoint), journal.note
                ) as machine,
            ):
                if checkpoint:
                    machine.restore(checkpoint)
                start_s = time.monotonic() - began
                train(launch.config, machine, journal, start)
            status = "success"
        except KeyboardInterrupt:
            status, error = "interrupted", "interrupted"
            raise
        except Exception as found:
            error = f"{type(found).__name__}: {found}"
            raise
        finally:
            conclude(launch, run_dir, status, error, start_s, time.monotonic() - began)
    return 0


def open_run_dir(launch: Launch, info: RunInfo) -> RunDir:
    """A new run directory, or that of ``--resume`` with the settings of now.

    Raises:
        ConfigError: the folder is taken, or holds no run.
        PluginError: code that decides what is learned differs from the run's.
    """
    settings = to_dict(launch.config, secrets(launch))
    plan_json = launch.plan.to_json()
    if launch.resume is None:
        return RunDir.create(info.directory, settings, plan_json)
    run_dir = RunDir.open(launch.resume)
    check_resume(launch)  # once more: what it was compared with is overwritten now
    write_json(run_dir.config_file, settings)
    write_json(run_dir.plan_file, json.loads(plan_json))
    return run_dir


def secrets(launch: Launch) -> set[tuple[str, ...]]:
    """Options that the plan leaves out, because they must be written nowhere."""
    planned = launch.plan.options
    return {
        ("plugin", plugin, option)
        for plugin, options in launch.config.plugin.items()
        for option in options
        if option not in planned.get(plugin, {})
    }


def model_of(info: RunInfo, checkpoint: Path | None) -> Path:
    """What the servers begin with: the same weights as the trainer."""
    return checkpoint / "hf" if checkpoint else info.model


def conclude(
    launch: Launch,
    run_dir: RunDir,
    status: Status,
    error: str | None,
    start_s: float,
    wall_s: float,
) -> None:
    """Write the summary and the report, and say where they are.

    What goes wrong here is logged: it must not hide what ended the run.
    """
    try:
        _write_ending(launch, run_dir, status, error, start_s, wall_s)
    except Exception as problem:
        _log.warning("the summary of the run could not be written: %s", problem, exc_info=problem)
    if status != "success" and run_dir.latest_checkpoint():
        print(f"resume with slime --resume {run_dir.path}")


def _write_ending(
    launch: Launch,
    run_dir: RunDir,
    status: Status,
    error: str | None,
    start_s: float,
    wall_s: float,
) -> None:
    checkpoint = run_dir.latest_checkpoint()
    hf = checkpoint / "hf" if checkpoint and (checkpoint / "hf").is_dir() else None
    summary = summarise(
        read_metrics(run_dir.metrics_file),
        status=status,
        error=error,
        wall_s=wall_s,
        times_s={"start": start_s},
        checkpoint=checkpoint,
        hf=hf,
        plugins=origins(launch.plan),
    )
    run_dir.write_summary(summary)
    if launch.config.observe.report:
        print(f"report      {write_report(run_dir)}")
    if hf:
        print(f"checkpoint  {hf}")


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived: stop as Ctrl-C does, so that nothing is left running."""

    exit_status = 128 + signal.SIGTERM


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM end the run the way that Ctrl-C does, also where a library took it over."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
