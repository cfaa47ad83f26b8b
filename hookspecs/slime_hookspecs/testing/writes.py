"""Which files this process writes, as the interpreter's audit events tell."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC

#: Audit events other than ``open`` whose arguments are paths that come to be, or change.
_EVENTS: Final[dict[str, slice]] = {
    "os.mkdir": slice(0, 1),
    "os.rename": slice(0, 2),
    "os.remove": slice(0, 1),
    "os.rmdir": slice(0, 1),
    "os.truncate": slice(0, 1),
    "os.symlink": slice(1, 2),
    "os.link": slice(1, 2),
    "sqlite3.connect": slice(0, 1),
}

_listeners: Final[list[dict[Path, None]]] = []
_installed: Final[list[bool]] = []


@contextlib.contextmanager
def writes() -> Iterator[dict[Path, None]]:
    """The paths that are written within, in the order of their first time.

    Sees what goes through Python, in any thread; libraries that open files themselves are unseen.
    Devices and files without a name do not count.
    """
    if not _installed:
        # It cannot be taken out again, and is idle while nobody listens.
        sys.addaudithook(_heard)
        _installed.append(True)
    found: dict[Path, None] = {}
    _listeners.append(found)
    try:
        yield found
    finally:
        _listeners.remove(found)


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if not _listeners:
        return
    for given in _paths(event, arguments):
        if isinstance(given, str | bytes | os.PathLike):
            path = Path(os.path.realpath(os.fsdecode(given)))
            # A file without a name is opened by the name of its folder.
            nameless = event == "open" and path.is_dir()
            if not nameless and not path.is_relative_to("/dev"):
                for found in _listeners:
                    found.setdefault(path)


def _paths(event: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if event == "open":
        path, _, flags = arguments
        return (path,) if flags & _WRITING else ()
    return arguments[_EVENTS[event]] if event in _EVENTS else ()
