"""Processes that descend from this one: who they are, what they hold, and how they end."""

from __future__ import annotations

import os
import signal
import time

PAGE = os.sysconf("SC_PAGE_SIZE")
#: Seconds after which processes that will not die are left to the kernel.
PATIENCE_S = 5.0


def descendants() -> list[int]:
    """Process ids of all that descend from this process, dead ones that nobody waited for too.

    An orphan among them has this process as its parent, as a subreaper's or a first process's.
    """
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and (parent := _parent(name)) is not None:
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    waiting = list(children.get(os.getpid(), ()))
    while waiting:
        found.append(pid := waiting.pop())
        waiting += children.get(pid, ())
    return found


def resident_bytes(pids: list[int]) -> int:
    """Memory that processes hold together; what they share counts once for each."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123
                total += int(file.read().split()[1]) * PAGE
        except (OSError, IndexError):
            continue  # It ended meanwhile.
    return total


def kill_all() -> None:
    """End all descendants. First they are stopped, so that none can bear another."""
    give_up = time.monotonic() + PATIENCE_S
    stopped: set[int] = set()
    while new := set(descendants()) - stopped:
        _send(new, signal.SIGSTOP)
        stopped |= new
        if time.monotonic() > give_up:
            break
    while time.monotonic() < give_up and (left := descendants()):
        _send(left, signal.SIGKILL)
        if not reap():
            time.sleep(0.002)


def reap() -> int:
    """Wait for children that are dead; how many there were."""
    count = 0
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return count
        if pid == 0:
            return count
        count += 1


def _send(pids: set[int] | list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue  # It ended meanwhile.


def _parent(name: str) -> int | None:
    try:
        with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
            # The second field is a name in brackets, which may hold anything.
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None
