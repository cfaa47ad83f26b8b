"""Calls of an environment: off the event loop, one after another, each within a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Callable
from typing import Any, final


@final
class Calls:
    """Runs what may block in threads of its own, which live for one call.

    A thread that hangs cannot be ended: its call fails, and the environment is closed if ever it
    comes back. The threads do not keep the process from ending.

    Args:
        timeout_s: Seconds that one call may take.
        quick: Calls take no time, and are made on the event loop.
    """

    def __init__(self, timeout_s: float, *, quick: bool = False) -> None:
        self._timeout_s = timeout_s
        self.quick = quick
        self._thread: threading.Thread | None = None

    async def run(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What a function returns, which may be a coroutine function.

        Raises:
            TimeoutError: it took too long.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                if self.quick or inspect.iscoroutinefunction(function):
                    answer = function(*arguments, **named)
                else:
                    answer = await self._in_thread(lambda: function(*arguments, **named))
                return await answer if inspect.isawaitable(answer) else answer
        except TimeoutError as error:
            if str(error):
                raise  # The function's own.
            raise TimeoutError(f"it took more than {self._timeout_s:g} s") from error

    def finally_run(self, function: Callable[[], Any]) -> None:
        """Call a function after the call that is under way, and do not wait for it."""
        before = self._thread

        def last() -> None:
            if before is not None:
                before.join()
            with contextlib.suppress(Exception):
                function()

        if self.quick:
            last()
        else:
            threading.Thread(target=last, daemon=True, name="agent_gym close").start()

    def _in_thread(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def answer(result: Any, error: BaseException | None) -> None:
            if not future.done():
                future.set_result(result) if error is None else future.set_exception(error)

        def call() -> None:
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:
                error = _storable(raised)
            with contextlib.suppress(RuntimeError):  # The loop is closed.
                loop.call_soon_threadsafe(answer, result, error)

        self._thread = threading.Thread(target=call, daemon=True, name="agent_gym call")
        self._thread.start()
        return future


def _storable(error: BaseException) -> BaseException:
    """An exception that a future takes; one that would end the loop's run is told of instead."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
