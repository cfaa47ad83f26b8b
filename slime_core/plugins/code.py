"""A digest of the source that a plugin runs, as it lies on this machine's disk now.

Told without importing it, so that a lock can refuse code before it runs.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Final

from slime_core.plugins import installed
from slime_core.plugins.installed import Plugin

#: Endings of files that hold code.
_SOURCES: Final = frozenset({".py", ".so", ".pyd"})


def code_digest(plugin: Plugin) -> str:
    """sha256 over names and contents of the plugin's source files.

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
    spec = _spec(plugin.module)
    if spec is None or spec.origin is None or not spec.has_location:
        return
    file = Path(spec.origin)
    package, dot, _ = plugin.module.rpartition(".")
    is_package = spec.submodule_search_locations is not None
    if not dot and not is_package:
        yield file.name, file
        return
    skipped: set[Path] = set()
    if not is_package:
        others = installed.modules(plugin.distribution) - {plugin.module}
        skipped = set(_places(file.parent, package, others))
    for path in file.parent.rglob("*"):
        if path.suffix in _SOURCES and skipped.isdisjoint({path, *path.parents}):
            yield path.relative_to(file.parent).as_posix(), path


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is, or would be imported from; ``find_spec`` would import its parents."""
    if (imported := sys.modules.get(module)) is not None:
        spec: ModuleSpec | None = imported.__spec__
        return spec
    top, *rest = module.split(".")
    found = importlib.util.find_spec(top)
    name = top
    for part in rest:
        name = f"{name}.{part}"
        if found is None or found.submodule_search_locations is None:
            return None
        found = PathFinder.find_spec(name, list(found.submodule_search_locations))
    return found


def _places(folder: Path, package: str, modules: Iterable[str]) -> Iterator[Path]:
    """Where modules beneath a package would lie: a file or a folder."""
    for name in modules:
        if name.startswith(f"{package}."):
            path = folder.joinpath(*name.removeprefix(f"{package}.").split("."))
            yield path
            yield path.with_name(f"{path.name}.py")
