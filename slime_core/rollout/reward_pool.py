"""Worker processes for rewards written as plain functions, each of which can be killed.

A job's timeout counts from when its worker begins with it: when its batch is sent, or when the
answer to the job before it arrives. A worker that hangs or dies costs that one job; the rest of
its batch goes back to the head of the queue, and a new process takes its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

from slime_hookspecs import AnyContext, Group, PluginError, RunError, Sample

from slime_core.plugins import BoundHook
from slime_core.rollout import frames
from slime_core.rollout.reward_process import Answer, Loader

BATCH: Final = 32
START_TIMEOUT_S: Final = 120.0


class RewardError(Exception):
    """A reward raised, hung or killed its worker. ``kind`` is the exception's own class name."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@final
@dataclass(slots=True, eq=False)
class _Job:
    body: bytes
    answer: asyncio.Future[Any]


@final
@dataclass(slots=True, eq=False)
class _Process:
    popen: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def kill(self) -> int:
        """End the process and all that it started; returns its exit status."""
        if self.popen.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)
        self.writer.close()
        return self.popen.wait()


@final
class RewardPool:
    """Scores samples in ``workers`` processes."""

    def __init__(self, load: Loader, *, workers: int, timeout_s: float) -> None:
        self._load = load
        self._count = workers
        self._timeout_s = timeout_s
        self._jobs: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._broken: Exception | None = None

    async def start(self) -> None:
        """Start all workers and wait until they have loaded the plugins.

        Raises:
            PluginError: a plugin does not load in a worker.
        """
        processes = await asyncio.gather(*(_start(self._load) for _ in range(self._count)))
        self._tasks = [asyncio.create_task(self._serve(process)) for process in processes]

    async def run(self, hook: BoundHook, subject: Sample | Group, context: AnyContext) -> Any:
        """What the hook returns, as ``Reward`` or list of them.

        Raises:
            RewardError: it raised, took too long or killed its worker.
        """
        if self._broken is not None:
            raise RunError(f"reward workers cannot be started again: {self._broken}")
        body = pickle.dumps((hook.hook, hook.plugin, subject, context), pickle.HIGHEST_PROTOCOL)
        job = _Job(body, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._wake.set()
        return await job.answer

    async def close(self) -> None:
        """End all workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, process: _Process) -> None:
        """Feed one worker for ever, and the one that takes its place when it dies."""
        try:
            while True:
                batch = await self._next_batch()
                failure = await self._work(process, batch)
                if failure is not None:
                    status = process.kill()
                    _settle(batch.popleft(), (False, failure(status)))
                    self._put_back(batch)
                    process = await _start(self._load)
        except (PluginError, OSError) as error:
            self._break(error)
        finally:
            process.kill()

    async def _next_batch(self) -> deque[_Job]:
        while not self._jobs:
            self._wake.clear()
            await self._wake.wait()
        share = -(-len(self._jobs) // self._count)
        jobs = (self._jobs.popleft() for _ in range(min(share, BATCH)))
        # A job whose sample was stopped meanwhile is not worth a worker.
        return deque(job for job in jobs if not job.answer.done())

    async def _work(
        self, process: _Process, batch: deque[_Job]
    ) -> Callable[[int], tuple[str, str]] | None:
        """Answer the jobs of a batch in turn; on a failure the first left in it is to blame."""
        if batch:
            process.writer.write(frames.pack([job.body for job in batch]))
        while batch:
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = await frames.read(process.reader)
            except TimeoutError:
                return lambda status: ("TimeoutError", f"took longer than {self._timeout_s:g} s")
            except (asyncio.IncompleteReadError, ConnectionError):
                return lambda status: ("WorkerDied", f"its process ended with status {status}")
            _settle(batch.popleft(), answer)
        return None

    def _put_back(self, batch: deque[_Job]) -> None:
        self._jobs.extendleft(reversed(batch))
        self._wake.set()

    def _break(self, error: Exception) -> None:
        self._broken = error
        for job in self._jobs:
            if not job.answer.done():
                job.answer.set_exception(RunError(f"reward workers cannot be started: {error}"))
        self._jobs.clear()


def _settle(job: _Job, answer: Answer) -> None:
    if job.answer.done():
        return
    succeeded, value = answer
    if succeeded:
        job.answer.set_result(value)
    else:
        job.answer.set_exception(RewardError(*value))


async def _start(load: Loader) -> _Process:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", "slime_core.rollout.reward_process", str(theirs.fileno())]
        popen = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
        )
    reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 24)
    process = _Process(popen, reader, writer)
    writer.write(frames.pack(sys.path) + frames.pack(load))
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            problem = await frames.read(reader)
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
        problem = f"no sign of life, status {process.kill()} ({type(error).__name__})"
    except BaseException:
        process.kill()
        raise
    if problem is not None:
        process.kill()
        raise PluginError(f"a reward worker could not load the plugins: {problem}")
    return process
