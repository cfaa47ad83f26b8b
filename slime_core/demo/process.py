"""Runs a stage of the demo as its own process, and never leaves one behind."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from slime_hookspecs.errors import RunError

STOP_TIMEOUT_S: Final = 90.0
"""Seconds that a stage has to stop its servers and actors."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. Unlike Ctrl-C, it reached this process alone."""


def run_stage(name: str, command: Sequence[str], *, quiet: bool) -> None:
    """Run a command to its end.

    Args:
        name: What messages call it.
        command: Program and arguments.
        quiet: Send its standard output to standard error.

    Raises:
        RunError: it did not end well.
    """
    with _termination(), subprocess.Popen(command, stdout=sys.stderr if quiet else None) as child:
        try:
            status = child.wait()
        except KeyboardInterrupt as interrupt:
            if isinstance(interrupt, Terminated):
                child.terminate()
            _await(child)
            raise
    if status:
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise RunError(f"demo, stage {name}: {how}. The command was:\n  {shlex.join(command)}")


def _await(child: subprocess.Popen[bytes]) -> None:
    """Ctrl-C reaches the whole foreground group, so the stage is already stopping."""
    try:
        child.wait(STOP_TIMEOUT_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        child.kill()


@contextmanager
def _termination() -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
