"""Which plugin is under test, told from installed metadata alone; imports none of it."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, final

from slime_hookspecs.contract import ENTRY_POINT_GROUP
from slime_hookspecs.errors import PluginError
from slime_hookspecs.testing.checks import nearest


@final
@dataclass(frozen=True, slots=True)
class Target:
    """One entry point and the distribution that declares it.

    Attributes:
        entry: Name of the entry point.
        distribution: Canonical name of the distribution.
        version: Its version.
        value: What the entry point names: ``module`` or ``module:attribute``.
        requires: ``Requires-Dist`` of the distribution.
        rivals: Other distributions that declare an entry point of this name.
    """

    entry: str
    distribution: str
    version: str
    value: str
    requires: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()

    @property
    def display(self) -> str:
        """How every message names the plugin."""
        return f"{self.entry} ({self.distribution} {self.version})"

    @property
    def module(self) -> str:
        """The module that loading imports."""
        return self.value.partition(":")[0].strip()

    @property
    def attribute(self) -> str:
        """What to take from the module; empty for the module itself."""
        return self.value.partition(":")[2].partition("[")[0].strip()

    def to_json(self) -> str:
        """The target as JSON, for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Target:
        """The inverse of ``to_json``."""
        fields: dict[str, Any] = json.loads(text)
        lists = {name: tuple(fields[name]) for name in ("requires", "rivals")}
        return cls(**{**fields, **lists})


def find(spelling: str) -> Target:
    """The plugin that ``entry`` or ``distribution:entry`` names.

    Raises:
        PluginError: there is none, or more than one; names the nearest, or the spellings.
    """
    distribution, _, entry = spelling.rpartition(":")
    known = sorted(_targets(), key=lambda one: (one.entry, one.distribution))
    named = [one for one in known if one.entry == entry]
    found = [
        one for one in named if not distribution or one.distribution == canonical(distribution)
    ]
    if not found:
        listed = ", ".join(dict.fromkeys(one.entry for one in known)) or "none"
        near = nearest(entry, (one.entry for one in known))
        raise PluginError(
            f"no plugin {spelling!r} is installed{near}\n  installed here: {listed}\n"
            f"  while you write it: pip install -e <the folder of its pyproject.toml>"
        )
    if len(found) > 1:
        spellings = " or ".join(f"{one.distribution}:{one.entry}" for one in found)
        raise PluginError(f"several distributions declare plugin {entry!r}: say {spellings}")
    return _with_rivals(found[0], named)


def canonical(name: str) -> str:
    """A distribution's name as package indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _with_rivals(target: Target, named: list[Target]) -> Target:
    rivals = tuple(
        f"{one.distribution} {one.version}"
        for one in named
        if one.distribution != target.distribution
    )
    return Target.from_json(json.dumps({**asdict(target), "rivals": rivals}))


def _targets() -> Iterator[Target]:
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        # A look at the text first: most distributions have no plugin, and parsing costs more.
        if f"[{ENTRY_POINT_GROUP}]" not in (distribution.read_text("entry_points.txt") or ""):
            continue
        name = canonical(distribution.metadata["Name"] or "unknown")
        if name in seen:
            continue
        seen.add(name)
        for point in distribution.entry_points.select(group=ENTRY_POINT_GROUP):
            requires = tuple(distribution.requires or ())
            yield Target(point.name, name, distribution.version, point.value, requires)
