"""Temporary folders that are gone afterwards, with every process at home in them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path


@contextlib.asynccontextmanager
async def temporary_folder() -> AsyncIterator[str]:
    """A new folder, deleted in the end."""
    folder = tempfile.mkdtemp(prefix="slime-sandbox-")
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(leave_nothing, folder))


def leave_nothing(folder: str) -> None:
    """End the processes that have a folder as their home, and delete it."""
    while pids := at_home(folder):
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    delete(folder)


def at_home(folder: str) -> list[int]:
    """Processes in whose environment a folder is the home, unless they are dead already.

    A supervisor ends all of them. These are those of one that a program killed.
    """
    wanted, found = f"HOME={folder}".encode(), []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
    return found


def delete(folder: str) -> None:
    """Delete a folder of any depth, with what was made inaccessible in it.

    ``shutil.rmtree`` recurses, and so stops where folders nest deeper than Python's stack; and a
    path may become too long for the kernel. This one has one folder open at a time.
    """
    above = os.open(Path(folder).parent, os.O_RDONLY)
    here, names = _enter(above, Path(folder).name), [Path(folder).name]
    os.close(above)
    while names:
        child = _first_folder(here)
        if child is not None:
            there = _enter(here, child)
            names.append(child)
        else:
            there = os.open("..", os.O_RDONLY, dir_fd=here)
            os.rmdir(names.pop(), dir_fd=there)
        os.close(here)
        here = there
    os.close(here)


def _first_folder(here: int) -> str | None:
    """Name of a folder in this one, which has no files before it any more; ``None`` if empty."""
    for name in os.listdir(here):
        if stat.S_ISDIR(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
            return name
        os.unlink(name, dir_fd=here)
    return None


def _enter(above: int, name: str) -> int:
    os.chmod(name, stat.S_IRWXU, dir_fd=above)
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=above)
