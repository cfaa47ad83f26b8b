"""What a program's own process gives up before the program begins: rights, and resources."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
from collections.abc import Mapping
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)

NOBODY = 65534
MIB = 1 << 20
OPEN_FILES = 256
CLONE_NEWUSER = 0x10000000
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
#: Kernels from here on count processes in each user namespace by itself.
COUNTS_BY_NAMESPACE = (5, 14)


def become_program(limits: Mapping[str, int]) -> None:
    """Give up rights and resources for good. What follows is an ``exec``."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.nice(5)
    drop_root()
    # A user namespace of its own starts the count of processes anew.
    counted = LIBC.unshare(CLONE_NEWUSER) == 0 and kernel() >= COUNTS_BY_NAMESPACE
    limit_resources(limits, already_running=0 if counted else tasks_of(os.getuid()))
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def drop_root() -> None:
    """Become nobody, where this process is root and may."""
    if os.geteuid() != 0:
        return
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def limit_resources(limits: Mapping[str, int], already_running: int) -> None:
    """Set limits that the program cannot raise again.

    Args:
        limits: ``cpu_s``, ``memory_mb``, ``disk_mb`` and ``processes``.
        already_running: Tasks that count against the limit of processes and are not the program's.
    """
    hard = {
        resource.RLIMIT_AS: limits["memory_mb"] * MIB,
        resource.RLIMIT_FSIZE: limits["disk_mb"] * MIB,
        resource.RLIMIT_NPROC: already_running + limits["processes"],
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for which, most in hard.items():
        # Where the surroundings allow less than that, less it is.
        before = resource.getrlimit(which)[1]
        most = most if before == resource.RLIM_INFINITY else min(most, before)
        resource.setrlimit(which, (most, most))
    # SIGXCPU, which a program may ignore, then SIGKILL.
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_s"], limits["cpu_s"] + 1))


def tasks_of(uid: int) -> int:
    """Number of tasks, threads among them, that a user runs now."""
    count = 0
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and folder.stat().st_uid == uid:
                count += sum(1 for _ in (folder / "task").iterdir())
        except OSError:
            continue  # It ended meanwhile.
    return count


def kernel() -> tuple[int, ...]:
    """Version of the kernel, major and minor."""
    return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
