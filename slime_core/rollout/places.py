"""Where in a plugin's own code something happened: ``slime_plugin_x/episode.py:42``."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_CORE: Final = __name__.partition(".")[0]
_NAMELESS: Final = ("", "__main__", "builtins")


def own_folder(function: Callable[..., Any]) -> Path | None:
    """Folder of the package that a function belongs to; its file, for a module by itself.

    A built-in plugin is one module of the core, and the rest of the core is not its own.
    """
    name = getattr(function, "__module__", "") or ""
    top = name.partition(".")[0]
    file = getattr(sys.modules.get(name if top == _CORE else top), "__file__", None)
    if name in _NAMELESS or file is None:
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
    if own is None:
        return ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file == own or own in file.parents:
            return f"{file.relative_to(own.parent)}:{frame.lineno}"
    return ""
