"""``timeline.json``: what every process of a run did when, in Chrome's trace-event format.

Perfetto (ui.perfetto.dev) and ``chrome://tracing`` open it, also while the run goes and after it
was killed: the array's closing bracket may be missing. Processes append whole lines under a lock.
Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, final

FILE: Final = "timeline.json"
FLUSH_EVERY_S: Final = 1.0
FLUSH_EVERY: Final = 256
END: Final = b"\n]\n"
_log = logging.getLogger("slime.observe")


@final
class Timeline:
    """Appends what one process does. What cannot be written is left out: no run ends of it.

    Args:
        path: The file; ``None`` writes nothing.
        process: What the process is called.
        order: Its place in the list of processes.
    """

    def __init__(self, path: Path | None, process: str = "", order: int = 0) -> None:
        self._pid = os.getpid()
        self._pending: list[str] = []
        self._flushed = time.monotonic()
        self._file = None if path is None else _opened(path)
        self._add("process_name", "M", args={"name": process})
        self._add("process_sort_index", "M", args={"sort_index": order})
        self.flush()

    @classmethod
    def begin(cls, folder: Path, process: str, *, on: bool = True) -> Timeline:
        """The timeline of the process that makes the file, or goes on with that of ``--resume``.

        Args:
            folder: Of the run.
            process: What the process is called.
            on: Whether there is to be one.
        """
        try:
            if on:
                _make_or_reopen(folder / FILE)
        except OSError as error:
            _warn(error)
            on = False
        return cls(folder / FILE if on else None, process)

    @classmethod
    def join(cls, folder: Path, process: str, order: int, *, on: bool = True) -> Timeline:
        """The timeline of another process; writes nothing where no file was made."""
        path = folder / FILE
        return cls(path if on and path.is_file() else None, process, order)

    @property
    def on(self) -> bool:
        """Whether anything is written."""
        return self._file is not None

    @contextlib.contextmanager
    def phase(self, name: str, **args: Any) -> Iterator[None]:
        """Something that the process does, and nothing else meanwhile but parts of it.

        Its begin is on disk at once, so that what a run died of stands there without an end.
        """
        self._add(name, "B", args=args)
        self.flush()
        yield
        self._add(name, "E")
        self._flush_sometimes()

    def span(self, name: str, id: str, begin: float, end: float, **args: Any) -> None:
        """Something among many that happen at once. Those of one ``id`` share a track.

        Args:
            name: What it is.
            id: Whose it is.
            begin: Seconds since the epoch, as is ``end``.
            end: When it ended.
            args: What else is to be shown.
        """
        self._add(name, "b", begin, args, cat="sample", id=id)
        self._add(name, "e", end, cat="sample", id=id)
        self._flush_sometimes()

    def instant(self, name: str, **args: Any) -> None:
        """Something without a length."""
        self._add(name, "i", args=args, s="p")
        self._flush_sometimes()

    def counter(self, name: str, **values: float) -> None:
        """Values that are drawn as curves."""
        if finite := {key: value for key, value in values.items() if math.isfinite(value)}:
            self._add(name, "C", args=finite)

    def flush(self) -> None:
        """Write what is held back."""
        if self._file is None or not self._pending:
            return
        data = "".join(f",\n{line}" for line in self._pending).encode()
        self._pending.clear()
        self._flushed = time.monotonic()
        try:
            _append(self._file, data)
        except OSError as error:
            _warn(error)
            self._drop()

    def close(self, *, last: bool = False) -> None:
        """Write the rest; with ``last`` also the closing bracket. May be called again."""
        self.flush()
        if self._file is not None and last:
            with contextlib.suppress(OSError):
                _append(self._file, END)
        self._drop()

    def _drop(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _add(self, name: str, kind: str, at: float = 0.0, args: Any = None, **more: Any) -> None:
        if self._file is None:
            return
        event = {"name": name, "ph": kind, "pid": self._pid, "tid": self._pid, **more}
        if kind != "M":
            event["ts"] = round((at or time.time()) * 1e6)
        if args:
            event["args"] = args
        self._pending.append(json.dumps(event, separators=(",", ":"), default=str))

    def _flush_sometimes(self) -> None:
        overdue = time.monotonic() - self._flushed > FLUSH_EVERY_S
        if overdue or len(self._pending) >= FLUSH_EVERY:
            self.flush()


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND)


def _append(file: int, data: bytes) -> None:
    # The lock makes a shared file system agree on where the end is.
    fcntl.lockf(file, fcntl.LOCK_EX)
    try:
        while data:
            data = data[os.write(file, data) :]
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN)


def _make_or_reopen(path: Path) -> None:
    """A file to append to: an array without its closing bracket, of whole lines."""
    content = path.read_bytes().removesuffix(END) if path.is_file() else b""
    head, _, last = content.rpartition(b"\n")
    if not _is_event(last):  # torn in the middle
        content = head.removesuffix(b",")
    if content.startswith(b"[\n"):
        os.truncate(path, len(content))
    else:
        path.write_bytes(_first())


def _first() -> bytes:
    # Every other event can then stand behind a comma.
    return b'[\n{"name":"run","ph":"i","s":"g","pid":0,"tid":0,"ts":%d}' % round(time.time() * 1e6)


def _is_event(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _warn(error: OSError) -> None:
    _log.warning("the timeline is not written from here on: %s", error)
