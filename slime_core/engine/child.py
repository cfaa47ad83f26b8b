"""A long-lived command that dies with its owner and writes to a log file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import final

from slime_hookspecs.errors import EngineError

TAIL_LINES = 25
KEEPER = (sys.executable, "-m", "slime_core.engine.keeper")


@final
class Child:
    """One command under a keeper (see ``keeper.py``). Not started until ``start``.

    Attributes:
        name: What messages call it, e.g. ``SGLang server on port 15001``.
        log_path: Where its output goes.
        command: What ``start`` starts.
    """

    def __init__(
        self, name: str, command: Sequence[str], log_path: Path, env: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.command = list(command)
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: str | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the keeper, the root of the tree; ``None`` before the start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the command and return at once. After ``stop`` it may be started again."""
        folder = self._folder = tempfile.mkdtemp(prefix="slime-")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*KEEPER, str(os.getpid()), folder, *self.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,  # the terminal's Ctrl-C is for the owner alone
            )

    def alive(self) -> bool:
        """Whether the command still runs."""
        return self._process is not None and self._process.poll() is None

    def ended(self) -> str:
        """How the command ended; empty while it runs."""
        if self._process is None:
            return "was not started"
        status = self._process.poll()
        if status is None:
            return ""
        killed_by = -status if status < 0 else status - 128
        return (
            f"was killed by signal {killed_by}" if killed_by > 0 else f"ended with status {status}"
        )

    def stop(self, timeout_s: float = 15.0) -> None:
        """Kill the command and all its descendants, and wait until they are gone."""
        if self._process is None:
            return
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the kernel then kills the command
            self._process.wait()
        if self._folder:  # a keeper that was killed left it
            shutil.rmtree(self._folder, ignore_errors=True)

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Poll ``ready`` until it is true.

        Raises:
            EngineError: the command ended or the time is over; with the end of its log.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if ended := self.ended():
                raise EngineError(self.complaint(f"{ended} before it was ready"))
            if time.monotonic() > deadline:
                raise EngineError(
                    self.complaint(
                        f"was not ready within {timeout_s:g} s (--engine-start-timeout-s)"
                    )
                )
            time.sleep(0.1)

    def complaint(self, what: str) -> str:
        """A message about this command with the end of its log."""
        return f"{self.name} {what}. End of its log, {self.log_path}:\n{self.log_tail()}"

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of the log."""
        try:
            text = self.log_path.read_text(errors="replace")
        except OSError as error:
            return f"(no log: {error})"
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
