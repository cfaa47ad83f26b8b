"""A run, readable top to bottom: sync, then rollout, train, sync, step after step.

The loop itself is ``train``; ``run`` prepares what it needs and writes down how it ended.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from slime_hookspecs import RunInfo

from slime_core.config.schema import Config
from slime_core.launch import Launch
from slime_core.machinery import Machinery, machinery
from slime_core.observe.journal import Journal, open_journal
from slime_core.observe.logs import driver_logging
from slime_core.observe.metrics import read_metrics
from slime_core.observe.report import write_report
from slime_core.observe.rundir import RunDir, checkpoint_step
from slime_core.observe.summary import Status, summarise
from slime_core.preflight import preflight

_log = logging.getLogger("slime.train")


def train(config: Config, machine: Machinery, journal: Journal, start: int) -> None:
    """Every step of the run. A weight version is 1 + the number of steps that it learned from.

    Args:
        config: The run's settings.
        machine: Servers, rollout worker and trainer, running.
        journal: Where numbers and events go.
        start: Steps that are already done.
    """
    version = machine.first_version + start
    with journal.phase("sync"):
        journal.weights(start, version, machine.sync_weights(version, first=True))
    if start == 0 and config.eval.at_start and config.eval.every:
        with journal.phase("eval"):
            journal.add(machine.evaluate(0, version))
    if start == 0:
        journal.end_step(-1)

    for step in range(start, config.steps):
        done = step + 1
        with journal.phase("rollout"):
            batch = machine.generate(step, version)
            journal.add(batch.metrics)
        if batch.empty:
            journal.note(f"the data ended after {step} steps")
            break
        if machine.trains:
            with journal.phase("train"):
                journal.trained(step, machine.train(step, batch.shards))
            version += 1
            with journal.phase("sync"):
                journal.weights(done, version, machine.sync_weights(version, first=False))
        if is_due(done, config.eval.every, config.eval.at_end and done == config.steps):
            with journal.phase("eval"):
                journal.add(machine.evaluate(done, version))
        if is_due(done, config.checkpoint.every, done == config.steps) and machine.trains:
            with journal.phase("checkpoint"):
                journal.saved(done, machine.save(done))
        journal.end_step(step)


def is_due(done: int, every: int, at_end: bool) -> bool:
    """Whether something that happens every ``every`` steps (0: never) happens after ``done``."""
    return at_end or (every > 0 and done % every == 0)


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
                machinery(launch, run_dir, info, model_of(info, checkpoint)) as machine,
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
    """A new run directory, or that of ``--resume``."""
    if launch.resume is not None:
        return RunDir.open(launch.resume)
    return RunDir.create(info.directory, launch.config, launch.plan.to_json())


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
