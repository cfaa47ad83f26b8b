"""An event loop whose clock jumps to the next timer, so that an hour of waiting takes no time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar, final

T = TypeVar("T")

#: Seconds of real time that sockets and threads get before the clock jumps past a timer.
GRACE_S: Final = 0.1
#: The same for processes, which take their time to start.
PROCESS_GRACE_S: Final = 2.0


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for whatever may answer a moment, then moves the clock instead of waiting on."""

    jumped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Ready sockets; none where the clock jumped."""
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        start = time.monotonic()
        ready = super().select(min(timeout, self._grace()))
        if not ready:
            self.jumped += max(0.0, timeout - (time.monotonic() - start))
        return ready

    def _grace(self) -> float:
        if children():
            return PROCESS_GRACE_S
        own_pipe_only = len(self.get_map()) <= 1
        return 0.0 if own_pipe_only and threading.active_count() == 1 else GRACE_S


def children() -> set[int]:
    """Processes that this one started and did not yet wait for; none where there is no /proc."""
    found = set[int]()
    for tasks in Path("/proc").glob(f"{os.getpid()}/task/*/children"):
        with contextlib.suppress(OSError):  # The thread ended meanwhile.
            found |= {int(pid) for pid in tasks.read_text().split()}
    return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds that passed on the virtual clock."""
        return super().time() + self._jumping.jumped


@final
class VirtualClock:
    """Runs coroutines on virtual time; its ``elapsed`` seconds go by at once.

    Before each jump it waits a moment for real sockets and threads, and longer for processes.

    >>> clock = VirtualClock()
    >>> clock.run(asyncio.sleep(3600))
    >>> round(clock.elapsed)
    3600
    """

    def __init__(self) -> None:
        self.elapsed = 0.0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine; like ``asyncio.run``."""
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            loop = runner.get_loop()
            start = loop.time()
            try:
                return runner.run(work)
            finally:
                self.elapsed += loop.time() - start
