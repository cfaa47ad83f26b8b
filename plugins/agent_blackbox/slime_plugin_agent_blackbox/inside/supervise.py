"""Runs one command to its end, or ends it, with all that descends from it.

The first line of standard input is the order, as JSON. Anything that follows, the end of the stream
too, ends the command: so no agent outlives the process that asked for it. The report goes to
standard output, as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import sys
import time
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
#: Seconds between two looks at whether the command has ended.
POLL_S = 0.02
CHUNK = 1 << 16
#: Seconds after which processes that will not die are left to the kernel.
PATIENCE_S = 5.0


class Tail:
    """The end of a stream, and how long it was."""

    def __init__(self, most: int) -> None:
        self.most, self.total, self._kept = most, 0, bytearray()

    def add(self, data: bytes) -> None:
        """Take what came."""
        self.total += len(data)
        self._kept += data
        if len(self._kept) > 2 * self.most:
            del self._kept[: len(self._kept) - self.most]

    def text(self) -> str:
        """The end, as text."""
        kept = bytes(self._kept[len(self._kept) - self.most :] if self.most else b"")
        return kept.decode("utf-8", errors="replace").replace("\0", "\ufffd")


class Command:
    """A command that runs.

    Args:
        order: ``argv``, ``env``, ``cwd``, ``timeout_s``, ``grace_s`` and ``tail_bytes``.

    Attributes:
        tails: What is kept of its output and its errors, by the descriptor to read from.
        error: Why it could not be started, or nothing.
        status: Its exit status, or minus the number of the signal that ended it.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.status, self.over = 0, False
        (out, out_end), (err, err_end), (told, told_end) = os.pipe(), os.pipe(), os.pipe()
        self.tails = {one: Tail(order["tail_bytes"]) for one in (out, err)}
        self.pid = os.fork()
        if self.pid == 0:
            become(order, out_end, err_end, told_end)
        for fd in (out_end, err_end, told_end):
            os.close(fd)
        self.error = os.read(told, CHUNK).decode(errors="replace")
        os.close(told)
        for fd in self.tails:
            os.set_blocking(fd, False)

    def watch(self) -> str:
        """Wait for the end, and say how it came: exit, signal, timeout or stopped."""
        deadline = time.monotonic() + self.order["timeout_s"]
        with selectors.DefaultSelector() as selector:
            for fd in (0, *self.tails):
                selector.register(fd, selectors.EVENT_READ)
            while not self.ended():
                for key, _ in selector.select(POLL_S):
                    if key.fd == 0:
                        return "stopped"
                    if not self.read(int(key.fd)):
                        selector.unregister(key.fd)
                if time.monotonic() > deadline:
                    self.ask_to_end()
                    return "timeout"
        return "exit" if self.status >= 0 else "signal"

    def ask_to_end(self) -> None:
        """Send SIGTERM, and give it a moment to tidy up."""
        try:
            os.killpg(self.pid, signal.SIGTERM)
        except OSError:
            return
        deadline = time.monotonic() + self.order["grace_s"]
        while not self.ended() and time.monotonic() < deadline:
            for fd in self.tails:
                self.read(fd)
            time.sleep(POLL_S)

    def ended(self) -> bool:
        """Whether it has ended. Orphans that it left are waited for too."""
        while not self.over:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return False
            if pid == self.pid:
                self.over, self.status = True, os.waitstatus_to_exitcode(status)
        return True

    def read(self, fd: int) -> bool:
        """Take what there is to read; whether more may come."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return True
        self.tails[fd].add(data)
        return bool(data)

    def drain(self) -> None:
        """Take what was written before the end, which a pipe holds."""
        for fd, tail in self.tails.items():
            before = -1
            while tail.total != before:
                before = tail.total
                self.read(fd)


def main() -> None:
    """Take an order, carry it out, report."""
    # Orphans of the agent, daemons too, become children of this process, and so are found.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdout.write(json.dumps(carry_out(read_order())))
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
    """Run the command to its end, or end it, and say what became of it."""
    started = time.monotonic()
    command = Command(order)
    try:
        ended = command.watch()
    finally:
        kill_all()
    command.drain()
    out, err = command.tails.values()
    return {
        "ended": "unstarted" if command.error else ended,
        "status": command.status,
        "error": command.error,
        "stdout": out.text(),
        "stderr": err.text(),
        "written_bytes": out.total + err.total,
        "seconds": time.monotonic() - started,
    }


def become(order: dict[str, Any], out: int, err: int, told: int) -> None:
    """Become the command. Never returns."""
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(order["cwd"])
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(order["argv"][0], order["argv"], order["env"])
    except BaseException as error:
        # The pipe closes where the command begins, so that silence means success.
        os.write(told, f"{type(error).__name__}: {error}".encode(errors="replace"))
    finally:
        os._exit(127)


def descendants() -> list[int]:
    """Process ids of all that descend from this process, dead ones that nobody waited for too."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and (parent := parent_of(name)) is not None:
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    waiting = list(children.get(os.getpid(), ()))
    while waiting:
        found.append(pid := waiting.pop())
        waiting += children.get(pid, ())
    return found


def kill_all() -> None:
    """End all descendants. First they are stopped, so that none can bear another."""
    give_up = time.monotonic() + PATIENCE_S
    stopped: set[int] = set()
    while new := set(descendants()) - stopped:
        send(new, signal.SIGSTOP)
        stopped |= new
        if time.monotonic() > give_up:
            break
    while time.monotonic() < give_up and (left := descendants()):
        send(left, signal.SIGKILL)
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


def send(pids: set[int] | list[int], number: signal.Signals) -> None:
    """Send a signal to processes, some of which may be gone."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue


def parent_of(name: str) -> int | None:
    """The parent of a process; ``None`` where it ended meanwhile."""
    try:
        with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
            # The second field is a name in brackets, which may hold anything.
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


if __name__ == "__main__":
    main()
