"""Runs one program under limits, and ends it with all that it started.

The first line of standard input is the order, as JSON; anything that follows, the end of the
stream too, ends the program. The report goes to standard output, as JSON.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
import time
from pathlib import Path
from typing import Any

from .kept import Kept
from .lower import (
    LIBC,
    MIB,
    NOBODY,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    become_program,
)
from .tree import descendants, kill_all, reap, resident_bytes

#: Seconds between two looks at what the program holds.
POLL_S = 0.03
CHUNK = 1 << 16
#: What the program's folder is called in its output.
SHOWN = "/tmp"
#: A program may write this many times what is kept of its output.
PATIENCE = 16


def main() -> None:
    """Take an order, carry it out, report."""
    # The program must not look into this process, which may have the same user, nor outlive it.
    LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    report = carry_out(read_order())
    sys.stdout.write(json.dumps(report))
    sys.stdout.flush()


def read_order() -> dict[str, Any]:
    """The order, read without a byte of what follows it."""
    line = bytearray()
    while not line.endswith(b"\n"):
        if not (chunk := os.read(0, CHUNK)):
            sys.exit(1)
        line += chunk
    order: dict[str, Any] = json.loads(line)
    return order


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Run the program, wait for its end or bring it about, and say what became of it."""
    started = time.monotonic()
    program = Program(order)
    try:
        ended = program.watch()
    finally:
        kill_all()
    program.drain()
    # A folder with a name of its own would make each program's errors read differently.
    out, err = (kept.text().replace(order["folder"], SHOWN) for kept in program.kept.values())
    return {
        "ended": ended,
        "status": program.status,
        "stdout": out,
        "stderr": err,
        "seconds": time.monotonic() - started,
    }


class Program:
    """A program that runs.

    Args:
        order: ``python``, ``program``, ``folder`` and ``limits``.

    Attributes:
        out: Its standard output, to read from.
        err: Its standard error.
        kept: What is kept of either.
        status: Its exit status, or minus the number of the signal that ended it.
        cpu_s: Processor time that it took, known when it has ended.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self.limits = order["limits"]
        self.status = 0
        self.cpu_s = 0.0
        self.over = False
        self.out, out = os.pipe()
        self.err, err = os.pipe()
        self.kept = {one: Kept(self.limits["output_bytes"]) for one in (self.out, self.err)}
        path = Path(order["folder"], "program.py")
        path.write_text(order["program"], encoding="utf-8", errors="surrogatepass")
        if os.geteuid() == 0:
            os.chown(order["folder"], NOBODY, NOBODY)
        self.pid = os.fork()
        if self.pid == 0:
            run(order, str(path), out, err)
        for fd in (out, err):
            os.close(fd)
        for fd in self.kept:
            os.set_blocking(fd, False)

    def watch(self) -> str:
        """Wait for the program's end, or for the first limit that it breaks; which one it was."""
        deadline = time.monotonic() + self.limits["wall_s"]
        looked = 0.0
        with selectors.DefaultSelector() as selector:
            for fd in (0, *self.kept):
                selector.register(fd, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select(POLL_S):
                    if key.fd == 0:
                        return "stopped"
                    if not self.read(key.fd):
                        selector.unregister(key.fd)
                if self.ended():
                    return self.why()
                if time.monotonic() > deadline:
                    return "wall"
                if time.monotonic() - looked > POLL_S:
                    looked = time.monotonic()
                    if broken := self.broken():
                        return broken

    def read(self, fd: int) -> bool:
        """Take what there is to read; whether more may come."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return True
        self.kept[fd].add(data)
        return bool(data)

    def drain(self) -> None:
        """Take what was written before the end."""
        for fd, kept in self.kept.items():
            before = -1
            while kept.total != before and kept.total < self.most_bytes:
                before = kept.total
                self.read(fd)

    def ended(self) -> bool:
        """Whether the program has ended. Orphans that it left are waited for too."""
        while not self.over:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return False
            if pid == self.pid:
                self.over, self.status = True, os.waitstatus_to_exitcode(status)
                self.cpu_s = usage.ru_utime + usage.ru_stime
        reap()
        return True

    def why(self) -> str:
        """How a program that has ended did so."""
        if self.status >= 0:
            return "exit"
        # The kernel's count of processor time and that of its report differ by a few ticks.
        spent = self.cpu_s > 0.9 * self.limits["cpu_s"]
        killed = -self.status == signal.SIGKILL and spent
        return "cpu" if killed or -self.status == signal.SIGXCPU else "signal"

    def broken(self) -> str:
        """The limit that the program and its descendants together break now, or nothing."""
        if sum(kept.total for kept in self.kept.values()) > self.most_bytes:
            return "output"
        pids = descendants()
        if len(pids) > self.limits["processes"]:
            return "processes"
        return "memory" if resident_bytes(pids) > self.limits["memory_mb"] * MIB else ""

    @property
    def most_bytes(self) -> int:
        """Bytes of output that end the program."""
        most: int = self.limits["output_bytes"] * PATIENCE
        return most


def run(order: dict[str, Any], path: str, out: int, err: int) -> None:
    """Become the program. Never returns."""
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(order["folder"])
        environment = {
            "HOME": order["folder"],
            "TMPDIR": order["folder"],
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            # Each thread of these libraries takes address space.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        become_program(order["limits"])
        python = order["python"]
        os.execve(python, [python, "-I", "-B", "-X", "utf8", path], environment)
    except BaseException as error:
        os.write(2, f"the sandbox could not start the program: {error!r}\n".encode())
    finally:
        os._exit(126)
