"""Runs a command, and sees to it that nothing of it is left when its owner is gone.

``python -m slime_core.engine.keeper OWNER FOLDER COMMAND...`` stands between a process of ours,
whose id is OWNER, and a server. Its standard input is a pipe from the owner: when that closes, or
the owner dies in whatever way, the keeper kills the server and all its descendants, removes what
they left in shared memory and the temporary folder, and exits. If the keeper itself is killed, the
kernel kills the server. Standard library only, so that it starts at once and stays small.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

#: Seconds that descendants have to end by themselves, once the server is dead.
GRACE_S: Final = 2.0

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_SHARED_MEMORY: Final = "/dev/shm/"


def main() -> int:
    """Run the command of the command line until it ends or the owner is gone."""
    owner, folder, command = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the pipe says when to stop
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphans of the server become children of the keeper
    folder.mkdir(parents=True, exist_ok=True)
    server = _start(command, folder)
    memory = _wait(server, owner)
    _kill_all(server)
    _clean(folder, memory)
    status = server.returncode
    return 128 - status if status < 0 else status


def descendants(pid: int) -> list[int]:
    """All processes below ``pid``, parents first."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (parent := _parent(entry.name)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, front = [], [pid]
    while front:
        front = [child for parent in front for child in children.get(parent, [])]
        found += front
    return found


def shared_memory(pids: list[int]) -> set[str]:
    """Files in shared memory that these processes have mapped."""
    files = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                if _SHARED_MEMORY in line:
                    files.add(line[line.index(_SHARED_MEMORY) :].removesuffix(" (deleted)"))
    return files


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    keeper = os.getpid()

    def tie() -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)

    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(folder)},
        preexec_fn=tie,  # safe: the keeper has one thread
    )


def _wait(server: subprocess.Popen[bytes], owner: int) -> set[str]:
    """Wait for the end of the server or of the owner; return the shared memory seen meanwhile."""
    memory: set[str] = set()
    if os.getppid() != owner:
        return memory
    # The pipe alone is not enough: processes that the owner forked hold it open too.
    ends = [os.pidfd_open(server.pid), os.pidfd_open(owner), sys.stdin.fileno()]
    timeout_s = 1.0
    while True:
        ready, _, _ = select.select(ends, [], [], timeout_s)
        memory |= shared_memory(descendants(os.getpid()))
        if ready:
            return memory
        # Mappings are made at the start; one who is killed with all its children tells no more.
        timeout_s = min(2 * timeout_s, 4.0)


def _kill_all(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait()
    # Python's resource tracker removes semaphores when its clients are dead: let it.
    if not _gone_within(GRACE_S, signal_number=0):
        _gone_within(GRACE_S, signal_number=signal.SIGKILL)


def _gone_within(seconds: float, signal_number: int) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _reap()
        rest = descendants(os.getpid())
        if not rest:
            return True
        for pid in rest:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)
        time.sleep(0.05)
    return False


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _clean(folder: Path, memory: set[str]) -> None:
    for file in memory:
        with contextlib.suppress(OSError):
            Path(file).unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _parent(pid: str) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
