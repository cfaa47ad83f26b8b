"""Runs Python programs where they can do no harm, a few at a time."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import sys
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final, final

from slime_plugin_multi_turn_tools.sandbox.commands import command
from slime_plugin_multi_turn_tools.sandbox.folders import temporary_folder
from slime_plugin_multi_turn_tools.sandbox.isolation import Isolation
from slime_plugin_multi_turn_tools.sandbox.limits import Limits
from slime_plugin_multi_turn_tools.sandbox.report import Ended, Report

#: Seconds that the supervisor gets, beyond the program's own time, to start and to report.
GRACE_S: Final = 20.0
#: Seconds that it gets to end everything once it is told to.
END_S: Final = 7.0

_slots: Final[weakref.WeakKeyDictionary[Any, dict[int, asyncio.Semaphore]]] = (
    weakref.WeakKeyDictionary()
)


@final
@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where programs run.

    Attributes:
        isolation: What keeps them from everything else.
        limits: How much each may take.
        concurrency: How many run at once, in one event loop; others wait.
        python: Their interpreter.
    """

    isolation: Isolation
    limits: Limits = field(default_factory=Limits)
    concurrency: int = field(default_factory=lambda: os.cpu_count() or 1)
    python: str = sys.executable

    async def run(self, program: str) -> Report:
        """Run a program's text to its end, which a limit may bring about.

        Nothing that it started is left when this returns, and neither is when it is cancelled.
        """
        async with self._slot(), self._folder() as folder:
            started = asyncio.get_running_loop().time()
            answer = await self._supervised(program, folder)
            seconds = asyncio.get_running_loop().time() - started
        return self._report(answer, seconds)

    def _slot(self) -> asyncio.Semaphore:
        slots = _slots.setdefault(asyncio.get_running_loop(), {})
        return slots.setdefault(self.concurrency, asyncio.Semaphore(self.concurrency))

    @contextlib.asynccontextmanager
    async def _folder(self) -> AsyncIterator[str]:
        if self.isolation is not Isolation.RLIMITS:
            yield "/tmp"  # One of its own, in memory, that ends with it.
            return
        async with temporary_folder() as folder:
            yield folder

    async def _supervised(self, program: str, folder: str) -> bytes:
        """What the supervisor writes about a program."""
        process = await _start(command(self.isolation, self.python, self.limits))
        order = {
            "python": self.python,
            "program": program,
            "folder": folder,
            "limits": dataclasses.asdict(self.limits),
        }
        try:
            async with asyncio.timeout(self.limits.wall_s + GRACE_S):
                return await _exchange(process, json.dumps(order).encode() + b"\n")
        except TimeoutError:
            return b""
        finally:
            await asyncio.shield(_end(process))

    def _report(self, answer: bytes, seconds: float) -> Report:
        try:
            told = json.loads(answer)
            ended = Ended(told.pop("ended"))
        except (ValueError, KeyError):
            return Report(Ended.LOST, -1, "", "", seconds, self.isolation)
        return Report(ended, isolation=self.isolation, **told)


async def _start(words: list[str]) -> asyncio.subprocess.Process:
    """Start a supervisor. Cancelled meanwhile, end it when it has started.

    asyncio would kill it at once, and a wall that is half built may then stand for ever: the
    process that bubblewrap has just made waits for word from the one that was killed.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd="/",
            env={"LANG": "C.UTF-8"},
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.shield(_end(await asyncio.shield(starting)))
        raise


async def _exchange(process: asyncio.subprocess.Process, order: bytes) -> bytes:
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        return b""
    with contextlib.suppress(ConnectionError):
        stdin.write(order)
        await stdin.drain()
    return await stdout.read()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a supervisor, which ends its program: closing its standard input tells it to."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(END_S):
            await process.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
