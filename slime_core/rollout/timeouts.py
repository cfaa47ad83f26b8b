"""Time limits for many waiting tasks: one timer for all, and errors that say what took too long.

``asyncio.timeout`` does the same with a timer for each call, which costs more than all else that
the rollout does for a sample.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar, final

T = TypeVar("T")


class OutOfTimeError(TimeoutError):
    """The core's own limit passed; a plugin's ``TimeoutError`` is an error like any other."""

    kind = "TimeoutError"


@final
@dataclass(slots=True, eq=False)
class _Call:
    task: asyncio.Task[Any]
    due: float
    over: bool = False
    expired: bool = False


@final
class TimeLimit:
    """The same limit for any number of calls, in one event loop.

    Args:
        timeout_s: Seconds that a call may take.
        setting: What the user would change, for the message.
    """

    def __init__(self, timeout_s: float, setting: str) -> None:
        self.timeout_s = timeout_s
        self._setting = setting
        self._loop = asyncio.get_running_loop()
        # Oldest first, so also the first to be due. Calls that are over leave when they reach it.
        self._calls: deque[_Call] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, work: Awaitable[T]) -> T:
        """The result of ``work``.

        Raises:
            OutOfTimeError: it took longer; the message names the setting.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit works inside tasks only")
        call = _Call(task, self._loop.time() + self.timeout_s)
        self._calls.append(call)
        if self._timer is None:
            self._timer = self._loop.call_at(call.due, self._expire)
        try:
            return await work
        except asyncio.CancelledError:
            # Somebody else may have cancelled the task as well: that one goes first.
            if call.expired and task.cancelling() == 1:
                raise self._error() from None
            raise
        finally:
            call.over = True
            if call.expired:
                # Also where the plugin swallowed it, or the task would seem cancelled for ever.
                task.uncancel()
            while self._calls and self._calls[0].over:
                self._calls.popleft()

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        # The call that the timer was set for is mostly over by now, and later ones are due later.
        while self._calls and (self._calls[0].over or self._calls[0].due <= now):
            call = self._calls.popleft()
            if not call.over:
                call.expired = True
                call.task.cancel()
        if self._calls:
            self._timer = self._loop.call_at(self._calls[0].due, self._expire)

    def _error(self) -> OutOfTimeError:
        return OutOfTimeError(f"took longer than {self.timeout_s:g} s ({self._setting})")
