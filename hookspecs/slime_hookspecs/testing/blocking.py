"""Calls that wait on the event loop's own thread, and so keep every other sample waiting.

Told by what is called and from where, never by how long it took: a busy machine changes nothing.
Seen are sleeps, blocking connections, look-ups of names, and waits for a process. Work that keeps
the processor busy, locks, and libraries that wait outside Python are not: a run measures those.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, final

from slime_hookspecs.places import place_on

#: Seconds that all sleeps of a watch together may ask for.
SLEEP_S: Final = 0.05
_sleep: Final = time.sleep
_watches: Final[list[Watch]] = []
_installed: Final[list[bool]] = []


class Blocked(BaseException):
    """Raised in place of a call that would wait. No ``except Exception`` of a plugin holds it."""


@final
@dataclass(slots=True)
class Watch:
    """Who waits on this thread, while it is the event loop's.

    Attributes:
        own: Files and folders of the plugin; nobody else is blamed.
        processes: Whether waits for a process count.
        found: The calls, each with its line.
        thread: The thread that is watched.
    """

    own: Collection[Path]
    processes: bool
    found: list[str] = field(default_factory=list)
    thread: int = field(default_factory=threading.get_ident)
    _slept_s: float = 0.0
    _killed: list[Any] = field(default_factory=list)

    def sleeps(self, seconds: float) -> None:
        """The plugin is about to sleep."""
        if place := self._place():
            self._slept_s += seconds
            if self._slept_s > SLEEP_S:
                self._note(f"time.sleep({seconds:g})", place)

    def hears(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit event of the interpreter."""
        call = _waits(event, arguments) if event in _EVENTS else ""
        if call and (place := self._place()):
            self._note(call, place)

    def kills(self, process: subprocess.Popen[Any]) -> None:
        """A process was killed, which ends it at once."""
        self._killed.append(process)

    def waits_for(self, process: subprocess.Popen[Any]) -> None:
        """The plugin is about to wait for a process that is not known to have ended."""
        counts = self.processes and process.returncode is None and process not in self._killed
        if counts and (place := self._place()):
            self._note(f"waiting for the process {process.args!r:.60}", place)

    def _place(self) -> str:
        """The plugin's line that leads here; nothing off this thread, or while it imports."""
        if threading.get_ident() != self.thread:
            return ""
        frame = sys._getframe(2)
        return "" if _imports(frame) else place_on(frame, self.own)

    def _note(self, call: str, place: str) -> None:
        self.found.append(f"{call} at {place}")
        raise Blocked(self.found[-1])


@contextlib.contextmanager
def watched(own: Collection[Path], *, processes: bool = True) -> Iterator[Watch]:
    """Watch this thread, whose calls that would wait raise ``Blocked`` instead."""
    if not _installed:
        # It cannot be taken out again, and is idle while nobody watches.
        sys.addaudithook(_heard)
        _installed.append(True)
    watch = Watch(own, processes)
    with _sleep_replaced(watch), _processes_replaced(watch):
        _watches.append(watch)
        try:
            yield watch
        finally:
            _watches.remove(watch)


@contextlib.contextmanager
def _sleep_replaced(watch: Watch) -> Iterator[None]:
    """``time.sleep`` by whatever name the plugin's modules know it: it has no audit event."""

    def sleep(seconds: float) -> None:
        watch.sleeps(seconds)
        _sleep(seconds)

    homes = [(time, "sleep"), *_names_of(_sleep, watch.own)]
    try:
        for module, name in homes:
            setattr(module, name, sleep)
        yield
    finally:
        for module, name in homes:
            setattr(module, name, _sleep)


@contextlib.contextmanager
def _processes_replaced(watch: Watch) -> Iterator[None]:
    """What ``run``, ``call`` and ``check_output`` wait by."""
    popen: Any = subprocess.Popen
    before = {name: getattr(popen, name) for name in ("wait", "communicate", "kill")}

    def telling(name: str, tell: Callable[[Any], None]) -> Callable[..., Any]:
        def call(process: Any, *arguments: Any, **more: Any) -> Any:
            tell(process)
            return before[name](process, *arguments, **more)

        return call

    popen.wait = telling("wait", watch.waits_for)
    popen.communicate = telling("communicate", watch.waits_for)
    popen.kill = telling("kill", watch.kills)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(popen, name, function)


def _names_of(value: Any, own: Collection[Path]) -> list[tuple[Any, str]]:
    """Where the plugin's modules hold a value."""
    tables = [(one, getattr(one, "__dict__", {})) for one in list(sys.modules.values())]
    files = [(one, table.get("__file__")) for one, table in tables]
    modules = [one for one, file in files if file and _is_in(Path(file), own)]
    return [(m, name) for m in modules for name, held in list(vars(m).items()) if held is value]


def _is_in(file: Path, own: Collection[Path]) -> bool:
    return any(file == one or one in file.parents for one in own)


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    for watch in _watches:
        watch.hears(event, arguments)


_EVENTS: Final = ("socket.connect", "socket.getaddrinfo", "os.system")


def _waits(event: str, arguments: tuple[Any, ...]) -> str:
    """The call behind an event, in words, where it waits."""
    if event == "os.system":
        return "os.system()"
    if event == "socket.getaddrinfo":
        host = arguments[0]
        return f"looking up {host!r:.80}" if host and _is_name(host) else ""
    connecting, address = arguments
    internet = connecting.family in (socket.AF_INET, socket.AF_INET6)
    # Those of an event loop have the timeout 0; a datagram is connected to nobody.
    waits = connecting.gettimeout() != 0.0 and connecting.type == socket.SOCK_STREAM
    return f"connecting to {address[0]}:{address[1]}" if internet and waits else ""


def _is_name(host: str | bytes) -> bool:
    text = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text != "localhost"
    return False


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
