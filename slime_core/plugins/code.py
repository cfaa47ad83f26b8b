"""A digest of the source that a plugin runs, as it lies on this machine's disk now."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from slime_core.plugins import installed
from slime_core.plugins.installed import Plugin

#: Endings of files that hold code.
_SOURCES: Final = frozenset({".py", ".so", ".pyd"})


def code_digest(plugin: Plugin) -> str:
    """sha256 over names and contents of the plugin's source files; the module must be imported.

    These are all files of the package that holds the module, except modules of the same package
    that are plugins of their own: an edit of one built-in loss does not touch the others. Catches
    an edit in place, which neither a version nor RECORD shows.
    """
    digest = hashlib.sha256()
    for name, path in sorted(_files(plugin)):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _files(plugin: Plugin) -> Iterator[tuple[str, Path]]:
    module = sys.modules[plugin.module]
    if (source := getattr(module, "__file__", None)) is None:
        return
    file = Path(source)
    package, dot, _ = plugin.module.rpartition(".")
    if not dot and not hasattr(module, "__path__"):
        yield file.name, file
        return
    skipped: set[Path] = set()
    if not hasattr(module, "__path__"):
        others = installed.modules(plugin.distribution) - {plugin.module}
        skipped = set(_places(file.parent, package, others))
    for path in file.parent.rglob("*"):
        if path.suffix in _SOURCES and skipped.isdisjoint({path, *path.parents}):
            yield path.relative_to(file.parent).as_posix(), path


def _places(folder: Path, package: str, modules: Iterable[str]) -> Iterator[Path]:
    """Where modules beneath a package would lie: a file or a folder."""
    for name in modules:
        if name.startswith(f"{package}."):
            path = folder.joinpath(*name.removeprefix(f"{package}.").split("."))
            yield path
            yield path.with_name(f"{path.name}.py")
