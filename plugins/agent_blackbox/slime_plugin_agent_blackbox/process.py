"""Runs a command under a supervisor, which ends it with everything that it started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, final

SUPERVISOR: Final = str(Path(__file__).parent / "inside" / "supervise.py")
#: Name of the variable by which the processes of one agent are known, if all else fails.
MARK: Final = "SLIME_EPISODE"
#: Seconds that the supervisor gets, beyond the command's own time, to start and to report.
GRACE_S: Final = 30.0
#: Seconds that it gets to end everything once it is told to.
END_S: Final = 8.0
BYTES_A_CHARACTER: Final = 4

How = Literal["exit", "signal", "timeout", "stopped", "unstarted", "lost"]


@final
@dataclass(frozen=True, slots=True)
class Command:
    """What to run.

    Attributes:
        argv: Its words.
        env: Its whole environment, ``MARK`` with a value of its own included.
        cwd: Where it begins.
        timeout_s: Seconds until it is ended.
        grace_s: Seconds that it has between SIGTERM and SIGKILL then.
        tail_chars: Characters of each stream that are kept: the last.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    timeout_s: float
    grace_s: float = 0.0
    tail_chars: int = 4000


@final
@dataclass(frozen=True, slots=True)
class Report:
    """How a command ended.

    Attributes:
        ended: By itself, by a signal, by its timeout, because it was told to; it was never started;
            or its supervisor was killed.
        status: Exit status, or minus the number of a signal.
        stdout: The last characters of its output.
        stderr: The same of its errors.
        seconds: How long it ran.
        written_bytes: How much it wrote to both.
        error: Why it was not started, or nothing.
    """

    ended: How
    status: int = 0
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0
    written_bytes: int = 0
    error: str = field(default="")


async def run(command: Command, over: asyncio.Future[Any] | None = None) -> Report:
    """Run a command to its end, which ``over`` brings about too, or a cancellation.

    Nothing that it started is left when this returns or raises, and no process of its own.
    """
    process = await _start(command)
    reading = asyncio.ensure_future(_exchange(process, _order(command)))
    try:
        wanted = [reading] if over is None else [reading, over]
        await asyncio.wait(
            wanted,
            timeout=command.timeout_s + command.grace_s + GRACE_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not reading.done() and process.stdin is not None:
            process.stdin.close()
            await asyncio.wait([reading], timeout=END_S)
        answer = reading.result() if reading.done() else b""
    finally:
        reading.cancel()
        await asyncio.shield(_end(process, command))
    return _report(answer, command)


def _report(answer: bytes, command: Command) -> Report:
    """What a supervisor wrote; one that was killed wrote nothing."""
    try:
        told = json.loads(answer)
    except ValueError:
        return Report("lost")
    for stream in ("stdout", "stderr"):
        text = told[stream]
        told[stream] = text[len(text) - command.tail_chars :] if command.tail_chars else ""
    return Report(**told)


def kill_marked(mark: str) -> None:
    """End the processes that have a mark in their environment."""
    wanted, own = f"{MARK}={mark}".encode(), os.getpid()
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != own:
            with contextlib.suppress(OSError):
                if wanted in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)


def _order(command: Command) -> bytes:
    order = {
        "argv": list(command.argv),
        "env": dict(command.env),
        "cwd": str(command.cwd),
        "timeout_s": command.timeout_s,
        "grace_s": command.grace_s,
        "tail_bytes": command.tail_chars * BYTES_A_CHARACTER,
    }
    return json.dumps(order).encode() + b"\n"


async def _start(command: Command) -> asyncio.subprocess.Process:
    """Start a supervisor. Cancelled meanwhile, end it when it has started."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-B", SUPERVISOR),
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
        await asyncio.shield(_end(await asyncio.shield(starting), command))
        raise


async def _exchange(process: asyncio.subprocess.Process, order: bytes) -> bytes:
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        return b""
    with contextlib.suppress(ConnectionError):
        stdin.write(order)
        await stdin.drain()
    report = await stdout.read()
    await process.wait()
    return report


async def _end(process: asyncio.subprocess.Process, command: Command) -> None:
    """End a supervisor, which ends its command: closing its standard input tells it to."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        if process.returncode is None:
            async with asyncio.timeout(END_S):
                await process.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode:
        # It was killed, by the agent perhaps, and left what it watched.
        await asyncio.to_thread(kill_marked, command.env[MARK])
