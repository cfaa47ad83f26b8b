"""Where in a plugin's own code something happened: ``slime_plugin_x/episode.py:42``.

The host and the conformance suite name lines by this: both say the same of one mistake.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

#: Packages of which each module is a plugin by itself: built-in plugins, and the examples.
_HOSTS: Final = ("slime_core", "slime_hookspecs")
_NAMELESS: Final = ("", "__main__", "builtins")


def own_folder(function: Callable[..., Any]) -> Path | None:
    """Folder of the package that a function belongs to; its file, for a module by itself.

    A built-in plugin is one module of the core, and the rest of the core is not its own.
    """
    return folder_of(getattr(function, "__module__", "") or "")


def folder_of(module: str) -> Path | None:
    """The same of a module, by its name; ``None`` where it does not come from a file.

    One that failed to be imported has its place too.
    """
    top = module.partition(".")[0]
    file = None if module in _NAMELESS else _file_of(module if top in _HOSTS else top)
    if file is None:
        return None
    path = Path(file)
    return path.parent if path.name == "__init__.py" else path


def place_of(error: BaseException, function: Callable[..., Any]) -> str:
    """The innermost line of a traceback that is in the plugin's own code, or nothing.

    Args:
        error: What was raised.
        function: The hook that raised it.
    """
    own = own_folder(function)
    return "" if own is None else place_in(error, [own])


def place_in(error: BaseException, own: Collection[Path]) -> str:
    """The innermost line of a traceback that is in these files and folders, or nothing."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    places = (_place(frame.filename, frame.lineno, own) for frame in frames)
    return next(filter(None, places), "")


def place_on(frame: FrameType | None, own: Collection[Path]) -> str:
    """The innermost line of a stack that is in these files and folders, or nothing."""
    places = (_place(one.f_code.co_filename, one.f_lineno, own) for one in _outwards(frame))
    return next(filter(None, places), "")


def _file_of(module: str) -> str | None:
    if module in sys.modules:
        return getattr(sys.modules[module], "__file__", None)
    spec = importlib.util.find_spec(module)
    return spec.origin if spec and spec.has_location else None


def _place(filename: str, line: int | None, own: Collection[Path]) -> str:
    file = Path(filename)
    home = next((one for one in own if file == one or one in file.parents), None)
    return f"{file.relative_to(home.parent)}:{line}" if home else ""


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
