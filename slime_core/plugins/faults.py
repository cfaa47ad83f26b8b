"""What is said where the import of a plugin goes wrong: to its author, or to who installed it."""

from __future__ import annotations

import builtins
import linecache
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType

from slime_core.config.fail import nearest
from slime_core.plugins import installed
from slime_core.plugins.installed import Home, Plugin


def import_message(plugin: Plugin, error: BaseException) -> str:
    """What the import raised, where, and the cure.

    A plugin that was installed from a folder of this machine is its author's to mend, so the
    message says at which line of it. Any other is to be installed again.
    """
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SystemExit):
        what = f"it called sys.exit({error.code!r}) while it was imported"
    head = (
        f"plugin {plugin.display} cannot be loaded from entry point "
        f"{plugin.name} = {plugin.value} (module {plugin.module})"
    )
    home = installed.home(plugin.distribution)
    lines = [what, _cure(plugin, error)] if home is None else _to_author(plugin, error, what, home)
    return "\n".join([head, *(f"  {line}" for line in lines)])


def cuda_message(plugin: Plugin) -> str:
    """What is said to a plugin that uses a GPU when it is imported."""
    newer = f"look for a newer release: pip install --upgrade {plugin.distribution}"
    return (
        f"plugin {plugin.display} initialises CUDA when it is imported, in every process\n"
        f"  entry point {plugin.name} = {plugin.value} (module {plugin.module})\n"
        f"  it may do so in its hooks only; {by_origin(plugin, newer)}"
    )


def by_origin(plugin: Plugin, user: str) -> str:
    """The cure for whoever installed the plugin, or for its author."""
    home = installed.home(plugin.distribution)
    return user if home is None else mend(home)


def mend(home: Home) -> str:
    """Where the code is to be mended, and how that takes effect."""
    again = "" if home.editable else f", and install it again: {home.install}"
    return f"it is installed from {home.folder}; mend it there{again}"


def _cure(plugin: Plugin, error: BaseException) -> str:
    if missing := _missing_module(plugin, error):
        return f"to mend it: install what provides the module {missing!r} (pip install ...)"
    return f"{_all_of_it(plugin)}; to mend it: pip install --force-reinstall {plugin.distribution}"


def _to_author(plugin: Plugin, error: BaseException, what: str, home: Home) -> Iterable[str]:
    yield f"{what}{_did_you_mean(error)}"
    place = _place(plugin, error)
    if place:
        file, line = place
        yield f"at {file}:{line}: {linecache.getline(file, line).strip()}"
    if missing := _missing_module(plugin, error):
        yield (
            f"to mend it: install what provides the module {missing!r} (pip install ...), and name "
            f"that in the dependencies of {home.folder}/pyproject.toml"
        )
    elif place:
        yield f"{mend(home)}; {_all_of_it(plugin)}"
    else:
        yield f"mend its entry point in {home.folder}/pyproject.toml, then: {home.install}"


def _all_of_it(plugin: Plugin) -> str:
    return f"to see all of it: python -c 'import {plugin.module}'"


def _missing_module(plugin: Plugin, error: BaseException) -> str:
    """The module of somebody else's that is not installed; empty for any other error."""
    missing = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    return "" if missing.partition(".")[0] == plugin.module.partition(".")[0] else missing


def _place(plugin: Plugin, error: BaseException) -> tuple[str, int] | None:
    """File and line of the innermost call in the plugin's own code, or of what cannot be parsed."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return error.filename, error.lineno
    package, _, _ = plugin.module.partition(".")
    # The first frame is the host's own: for a built-in plugin it would pass for the plugin's.
    frames = list(traceback.walk_tb(error.__traceback__))[1:]
    own = [
        (frame.f_code.co_filename, line)
        for frame, line in frames
        if frame.f_globals.get("__name__", "").partition(".")[0] == package
    ]
    return own[-1] if own else None


def _did_you_mean(error: BaseException) -> str:
    """The nearest name there is, as interpreters offer it when they show a traceback."""
    with suppress(Exception):  # it asks the plugin's own objects what they have
        if found := nearest(*_near(error), cutoff=0.7):
            return f"; did you mean {found!r}?"
    return ""


def _near(error: BaseException) -> tuple[str, Iterable[str]]:
    """The name that was not found, and those that were there."""
    name = str(getattr(error, "name", None) or "")
    if isinstance(error, NameError):
        return name, _names_in(_frames(error)[-1])
    if isinstance(error, AttributeError):
        return name, dir(error.obj)
    if isinstance(error, ModuleNotFoundError):
        return name, _beside(name, _frames(error))
    if found := re.match(r"cannot import name '(\w+)'", str(error)):
        return found[1], dir(sys.modules[name])
    return "", ()


def _frames(error: BaseException) -> list[FrameType]:
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__)]


def _names_in(frame: FrameType) -> set[str]:
    return {*frame.f_locals, *frame.f_globals, *dir(builtins)}


def _beside(module: str, frames: Iterable[FrameType]) -> Iterable[str]:
    """Modules of the package that a missing one was looked for in."""
    package = module.rpartition(".")[0]
    if not package:
        return ("slime_hookspecs",)
    # A package whose import failed is no longer among the modules, but its code is on the stack.
    running = (one.f_globals for one in frames if one.f_globals["__name__"] == package)
    path = next(running, None) or vars(sys.modules[package])
    return [f"{package}.{one.name}" for one in pkgutil.iter_modules(path["__path__"])]
