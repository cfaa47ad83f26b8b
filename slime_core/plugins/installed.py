"""What is installed, read from metadata without importing any of it.

The only module that reads distribution metadata: through importlib_metadata, so that every
supported Python sees the same. A distribution's METADATA is parsed only where its entry points
name a plugin.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import unquote, urlsplit

import importlib_metadata

from slime_core.plugins.names import canonical

ENTRY_POINT_GROUP: Final = "slime.plugins"
"""As in the contract, which costs more to import than all of this."""

#: Lines of RECORD that say how a distribution was installed rather than what is in it.
_HOW_INSTALLED = re.compile(
    r"^(\.\./|/)|\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$|\.pyc$"
)


@final
@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin before loading: one entry point and the distribution that declares it.

    Attributes:
        name: Name of the entry point; what the plugin is called in a run.
        distribution: Canonical name of the distribution.
        version: Version of the distribution; empty where METADATA is missing.
        value: What the entry point names: ``module`` or ``module:attribute``.
        requires: Requirements of the distribution, as in ``Requires-Dist``.
        location: Folder that the distribution is installed in.
    """

    name: str
    distribution: str
    version: str
    value: str
    requires: tuple[str, ...]
    location: str

    @property
    def display(self) -> str:
        """How every message names the plugin."""
        return f"{self.name} ({self.distribution} {self.version or 'without METADATA'})"

    @property
    def spelling(self) -> str:
        """The exact spelling that picks this plugin where others share its name."""
        return f"{self.distribution}:{self.name}"

    @property
    def module(self) -> str:
        """The module that loading imports."""
        return self.value.partition(":")[0].strip()

    @property
    def attribute(self) -> str:
        """What to take from the module; empty for the module itself."""
        return self.value.partition(":")[2].partition("[")[0].strip()


@final
@dataclass(frozen=True, slots=True)
class Home:
    """The folder on this machine that a distribution was installed from: its author's, mostly.

    Attributes:
        folder: Where its pyproject.toml lies.
        editable: Whether the code is imported from there; else it was copied.
    """

    folder: Path
    editable: bool

    @property
    def install(self) -> str:
        """The command that installs it again."""
        return f"pip install {'-e ' * self.editable}{self.folder}"


@final
@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution as it is installed, whether it has a plugin or not.

    Attributes:
        name: Its canonical name.
        version: Its version.
        requires: Its requirements, as in ``Requires-Dist``.
        points: Its entry points: group, name and value.
        modules: Its top-level modules, as far as it lists them.
    """

    name: str
    version: str
    requires: tuple[str, ...]
    points: tuple[tuple[str, str, str], ...]
    modules: tuple[str, ...]


def entries() -> Iterator[Plugin]:
    """Every plugin of every distribution, in whatever order the file system gives."""
    for distribution in importlib_metadata.distributions():
        yield from _entries_of(distribution)


def entry(distribution: str, name: str) -> Plugin | None:
    """The plugin ``name`` of one distribution, found without looking at any other."""
    try:
        found = importlib_metadata.distribution(distribution)
    except importlib_metadata.PackageNotFoundError:
        return None
    return next((plugin for plugin in _entries_of(found) if plugin.name == name), None)


def distributions() -> Iterator[Distribution]:
    """Every distribution. Reads the metadata of all, so it is for messages only."""
    for found in importlib_metadata.distributions():
        head = _head(found)
        if name := head["Name"]:
            points = tuple((one.group, one.name, one.value) for one in found.entry_points)
            requires = tuple(head.get_all("Requires-Dist") or ())
            version, modules = head["Version"] or "", tuple(_top_level(found))
            yield Distribution(canonical(name), version, requires, points, modules)


def home(distribution: str) -> Home | None:
    """The folder that a distribution was installed from; ``None`` where it came otherwise."""
    direct: dict[str, Any] = json.loads(text(distribution, "direct_url.json") or "{}")
    url = urlsplit(direct.get("url", ""))
    if "dir_info" not in direct or url.scheme != "file":
        return None
    return Home(Path(unquote(url.path)), bool(direct["dir_info"].get("editable")))


def modules(distribution: str) -> frozenset[str]:
    """The modules of all plugins of one distribution."""
    found = importlib_metadata.distribution(distribution)
    return frozenset(plugin.module for plugin in _entries_of(found))


def version(distribution: str) -> str | None:
    """The installed version of a distribution, or ``None``."""
    try:
        found: str = importlib_metadata.version(distribution)
    except importlib_metadata.PackageNotFoundError:
        return None
    return found


def text(distribution: str, file: str) -> str | None:
    """A file of a distribution's ``.dist-info`` folder, or ``None``."""
    try:
        found: str | None = importlib_metadata.distribution(distribution).read_text(file)
    except importlib_metadata.PackageNotFoundError:
        return None
    return found


def summary(distribution: str) -> str:
    """What a distribution says about itself in one line; empty if it says nothing."""
    return HeaderParser().parsestr(text(distribution, "METADATA") or "")["Summary"] or ""


def origin(distribution: str) -> str:
    """Where a distribution comes from: ``vcs:<commit>``, ``editable`` or ``record:<sha256>``.

    The RECORD digest leaves out installer, scripts and byte code, which differ between machines
    that hold the same wheel.
    """
    found = importlib_metadata.distribution(distribution)
    direct: dict[str, Any] = json.loads(found.read_text("direct_url.json") or "{}")
    if "vcs_info" in direct:
        return f"vcs:{direct['vcs_info'].get('commit_id', 'unknown')}"
    if direct.get("dir_info", {}).get("editable"):
        return "editable"
    return _record_digest(found.read_text("RECORD"))


def _record_digest(record: str | None) -> str:
    import hashlib  # loads OpenSSL, which a list of plugins need not wait for

    if record is None:
        return "unknown"
    lines = sorted(
        line for line in record.splitlines() if not _HOW_INSTALLED.search(line.partition(",")[0])
    )
    return f"record:{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()}"


def _entries_of(distribution: Any) -> Iterator[Plugin]:
    # A look at the text first: most distributions have no plugin, and parsing costs more.
    if f"[{ENTRY_POINT_GROUP}]" not in (distribution.read_text("entry_points.txt") or ""):
        return
    head = _head(distribution)
    location = str(Path(str(distribution.locate_file(""))))
    for point in distribution.entry_points.select(group=ENTRY_POINT_GROUP):
        yield Plugin(
            name=point.name,
            distribution=canonical(head["Name"] or "unknown"),
            version=head["Version"] or "",
            value=point.value,
            requires=tuple(head.get_all("Requires-Dist") or ()),
            location=location,
        )


def _head(distribution: Any) -> Message:
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    return HeaderParser().parsestr(text.partition("\n\n")[0])  # a readme follows, often a long one


def _top_level(distribution: Any) -> Iterator[str]:
    listed = (distribution.read_text("top_level.txt") or "").split()
    record = distribution.read_text("RECORD") or ""
    found = re.findall(r"^(\w+)(?:/__init__)?\.py,", record, re.MULTILINE)
    return iter(listed or [name for name in found if not name.startswith("__")])
