"""Runs the command line as a user does, and looks for what a run leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

MARK = "SLIME_TEST_RUN"


@dataclass
class Slime:
    """A started `slime` command."""

    process: subprocess.Popen[str]
    mark: str
    output: str = ""
    errors: str = ""

    def wait(self, timeout_s: float = 280) -> int:
        """Wait for the end; exit status."""
        try:
            self.output, self.errors = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGINT)
            self.output, self.errors = self.process.communicate(timeout=60)
            raise AssertionError(f"no end after {timeout_s} s\n{self.errors[-4000:]}") from None
        return self.process.returncode

    def left_behind(self, patience_s: float = 10) -> list[str]:
        """Command lines of processes of this run that are still there, after some patience."""
        end = time.monotonic() + patience_s
        while (found := alive_with(self.mark)) and time.monotonic() < end:
            time.sleep(0.3)
        return found


def alive_with(mark: str) -> list[str]:
    """Command lines of living processes whose environment holds the mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if f"{MARK}={mark}".encode() not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if command:  # a zombie has none
            found.append(f"{entry.name} {command.strip()}")
    return found


def names_in_shared_memory() -> set[str]:
    """Names in /dev/shm, without those that tests of the engine's keeper make on purpose."""
    names = {p.name for p in Path("/dev/shm").iterdir()}
    return {name for name in names if not name.startswith("slime-test-")}


@pytest.fixture
def new_shared_memory() -> Callable[[], set[str]]:
    """Names that have come into /dev/shm since the test began and are there to stay."""
    before = names_in_shared_memory()

    def new() -> set[str]:
        end = time.monotonic() + 5
        while (found := names_in_shared_memory() - before) and time.monotonic() < end:
            time.sleep(0.2)
        return found

    return new


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Slime]]:
    """Starts `slime ARGS`; kills what is left at the end of the test."""
    started: list[Slime] = []

    def go(*args: Any, env: dict[str, str] | None = None, cwd: Path | None = None) -> Slime:
        mark = uuid.uuid4().hex
        process = subprocess.Popen(
            [sys.executable, "-m", "slime_core.cli", *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd or tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", MARK: mark, **(env or {})},
        )
        started.append(Slime(process, mark))
        return started[-1]

    yield go
    for run in started:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()
        for line in run.left_behind(patience_s=5):
            os.kill(int(line.split()[0]), signal.SIGKILL)


@pytest.fixture
def slime(start: Callable[..., Slime]) -> Callable[..., Slime]:
    """Runs `slime ARGS` to its end."""

    def go(*args: Any, timeout_s: float = 280, **kwargs: Any) -> Slime:
        run = start(*args, **kwargs)
        run.wait(timeout_s)
        return run

    return go


def rows(run_dir: Path) -> list[dict[str, Any]]:
    """Rows of metrics.jsonl."""
    text = (run_dir / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def metrics() -> Callable[[Path], list[dict[str, Any]]]:
    """Reads the rows of a run's metrics file."""
    return rows
