"""What a plugin may be called, and the nearest right spelling of what it may not."""

from __future__ import annotations

import dataclasses
import keyword
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from slime_hookspecs import HOOKS, ConfigError

from slime_core.config.schema import Config

if TYPE_CHECKING:
    from slime_core.plugins.installed import Plugin

#: A longer name would push lines of the new package over the limit of its own style check.
MAX_LENGTH: Final = 30

_RIGHT: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

#: What runs call something else: parts of slime, tables and settings of the run, and hooks.
_RESERVED: Final = {
    **dict.fromkeys(("core", "slime", "plugins"), "slime calls a part of itself"),
    **{field.name: "slime calls a setting of runs" for field in dataclasses.fields(Config)},
    **{info.role: "slime calls a hook" for info in HOOKS.values()},
}


def folder_name(name: str) -> str:
    """Name of the distribution and of its folder."""
    return f"slime-plugin-{name.replace('_', '-')}"


def check_name(name: str, installed: Iterable[Plugin] = ()) -> None:
    """Refuse a name that no plugin can have, or that one which is installed has.

    Raises:
        ConfigError: says why, and the nearest name that is right.
    """
    taken = list(installed)
    if wrong := next(_wrong(name, taken), None):
        raise ConfigError(f"{name!r} cannot be a plugin's name: {wrong}\n  {_advice(name, taken)}")


def nearest_right(name: str, installed: Iterable[Plugin] = ()) -> str:
    """The name itself if it is right, else the nearest that is; ``my_task`` where none is near."""
    taken = list(installed)
    plain = _plain(name)
    for tried in (name, plain, f"{plain}_task", f"my_{plain}", f"my_{plain}_task", "my_task"):
        if not any(_wrong(tried, taken)):
            return tried
    return "my_task"


def _wrong(name: str, installed: Iterable[Plugin]) -> Iterator[str]:
    if not _RIGHT.fullmatch(name):
        yield "it must be lower-case words of letters and digits with one _ between"
    if len(name) > MAX_LENGTH:
        yield f"it has {len(name)} letters; {MAX_LENGTH} are allowed"
    if keyword.iskeyword(name):
        yield "it is a word of Python"
    if name.startswith("slime_"):
        yield "hooks begin with slime_, and the package is called slime_plugin_... by itself"
    if name in _RESERVED:
        yield f"that is what {_RESERVED[name]}"
    for plugin in installed:
        if plugin.name == name or plugin.distribution == folder_name(name):
            yield f"{plugin.display} is installed here"


def _advice(name: str, installed: list[Plugin]) -> str:
    return f"a name near it that is right: {nearest_right(name, installed)}"


def _plain(name: str) -> str:
    """The name in lower-case words, without what is added to it by itself."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", ascii_only).lower()
    words = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    words = re.sub(r"^(slime_)+(plugin_)?", "", words).lstrip("0123456789_")
    return words[: MAX_LENGTH - len("my__task")].rstrip("_")
