"""An event loop whose clock jumps to the next timer, so that an hour of waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar, final

T = TypeVar("T")

#: Seconds of real time that sockets get before the clock jumps past a timer.
GRACE_S: Final = 0.02


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets a moment, then moves the clock instead of waiting on."""

    jumped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Ready sockets; none where the clock jumped."""
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        own_pipe_only = len(self.get_map()) <= 1
        ready = super().select(0 if own_pipe_only else min(timeout, GRACE_S))
        if not ready:
            self.jumped += timeout
        return ready


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

    It waits for real sockets a moment before each jump. Work in threads gets no such moment.

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
