"""Problems from a process of their own, each within a time limit; the next ones are made ahead."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import IO, Any, Final, TypeAlias, final

from slime_hookspecs import ConfigError, DataError

from slime_plugin_reasoning_gym.library import Recipe

Job: TypeAlias = tuple[Recipe, int]
"""A recipe and the seed of a problem."""

#: Seconds that the process may take to import the package, besides its first job.
START_S: Final = 120.0
#: Most bytes of jobs that are sent ahead: they must fit into a pipe while nobody reads it.
AHEAD_BYTES: Final = 30_000


class Failed(Exception):  # noqa: N818
    """A problem could not be made: the package raised, crashed or took too long."""


@final
class Generator:
    """Asks a child process for problems, one after another, and replaces it where it hangs.

    The child has a fixed hash seed, so that a problem is the same in every run.

    Args:
        timeout_s: Seconds that one problem may take.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._starting = False
        self._buffer = b""
        self._sent = collections.deque[Job]()
        self._ready: dict[Job, Any] = {}

    def ask(self, what: str, *arguments: Any) -> Any:
        """What the package says of its tasks.

        Raises:
            ConfigError: it refuses what was asked.
            DataError: it did not answer.
        """
        with self._lock:
            self._drain()
            try:
                found = self._answer(_as_line([what, *arguments]))
            except Failed as error:
                raise DataError(f"reasoning_gym: {error}") from error
        if not found[0]:
            kind = ConfigError if found[1] == "ConfigError" else DataError
            text = found[2] if kind is ConfigError else f"reasoning_gym: {found[1]}: {found[2]}"
            raise kind(text)
        return found[1]

    def problem(self, job: Job) -> dict[str, Any]:
        """The problem of a job.

        Raises:
            Failed: the package raised, crashed or took too long.
        """
        with self._lock:
            while job not in self._ready and job in self._sent:
                self._receive_next()
            found = self._ready.pop(job, None)
            if found is None:
                self._drain()
                found = self._answer(_line(job))
        if isinstance(found, Failed):
            raise found
        if not found[0]:
            raise Failed(f"{found[1]}: {found[2]}")
        made: dict[str, Any] = found[1]
        return made

    def make_ahead(self, jobs: Iterable[Job]) -> None:
        """Begin with problems that will probably be asked for; others that wait are dropped."""
        with self._lock:
            self._drain()
            wanted = dict.fromkeys(jobs)
            self._ready = {job: made for job, made in self._ready.items() if job in wanted}
            with contextlib.suppress(Failed):
                self._send_ahead(job for job in wanted if job not in self._ready)

    def close(self) -> None:
        """End the process; another begins with the next question."""
        with self._lock:
            self._end()

    def _send_ahead(self, jobs: Iterable[Job]) -> None:
        room = AHEAD_BYTES
        for job in jobs:
            line = _line(job)
            room -= len(line)
            if room < 0:
                return
            self._send(line)
            self._sent.append(job)

    def _drain(self) -> None:
        while self._sent:
            self._receive_next()

    def _receive_next(self) -> None:
        job = self._sent.popleft()
        try:
            self._ready[job] = self._receive()
        except Failed as error:
            self._ready[job] = error

    def _answer(self, line: bytes) -> Any:
        self._send(line)
        return self._receive()

    def _send(self, line: bytes) -> None:
        if self._child is None:
            self._child, self._starting = _start(), True
            weakref.finalize(self, _stop, self._child)
        try:
            _pipe(self._child.stdin).write(line)
        except OSError as error:
            self._end()
            raise Failed("the process that makes problems ended by itself") from error

    def _receive(self) -> Any:
        timeout_s = self._timeout_s + (START_S if self._starting else 0.0)
        source = _pipe(self._child.stdout if self._child else None)
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([source], [], [], left)[0]:
                self._end()
                raise Failed(f"it took more than {timeout_s:g} s")
            piece = source.read(1 << 16)
            if not piece:
                status = self._end()
                raise Failed(f"the process that makes problems ended with status {status}")
            self._buffer += piece
        self._starting = False
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def _end(self) -> int | None:
        child, self._child, self._buffer = self._child, None, b""
        self._sent.clear()  # They died with the process, and can be asked for again.
        return None if child is None else _stop(child)


def _line(job: Job) -> bytes:
    return _as_line(["problem", astuple(job[0]), job[1]])


def _as_line(job: Sequence[Any]) -> bytes:
    return json.dumps(job).encode() + b"\n"


def _start() -> subprocess.Popen[bytes]:
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    changes: Mapping[str, str] = {"PYTHONPATH": path, "PYTHONHASHSEED": "0", "MPLBACKEND": "agg"}
    return subprocess.Popen(
        [sys.executable, "-m", "slime_plugin_reasoning_gym.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,  # An interrupt in the terminal is the run's business.
        env={**os.environ, **changes},
    )


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise Failed("the process that makes problems is gone")
    return stream


def _stop(child: subprocess.Popen[bytes]) -> int:
    child.kill()
    status = child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()
    return status
