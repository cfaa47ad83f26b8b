"""Whom a run trusts: where a list of distributions is given, nothing else is imported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, final

from slime_core.plugins.names import ambient, canonical

if TYPE_CHECKING:
    from slime_core.plugins.installed import Plugin

VARIABLE: Final = "SLIME_PLUGINS_TRUST"
"""Environment variable with trusted distributions, separated by commas or spaces."""

OWN: Final = "slime-rl"
"""The distribution of the built-in plugins, which needs no trust besides that in slime itself."""


@final
@dataclass(frozen=True, slots=True)
class Trust:
    """One list of trusted distributions, as somebody wrote it. Stands among the blocks.

    Attributes:
        names: Distributions; ``*`` at the end stands for any ending.
        source: Who said so, as messages name it.
    """

    names: tuple[str, ...]
    source: str

    @property
    def display(self) -> str:
        """How every message names it."""
        return f"{self.source}, which trusts {', '.join(self.names)} only"

    @property
    def hook(self) -> str:
        """Nothing: it speaks of whole plugins."""
        return ""

    def covers(self, plugin: Plugin) -> bool:
        """Whether the list leaves the plugin out."""
        trusted = (OWN, *map(_pattern, self.names))
        return not any(fnmatchcase(plugin.distribution, one) for one in trusted)


def read(
    texts: Sequence[str], source: str, environ: Mapping[str, str] = os.environ
) -> Iterable[Trust]:
    """The list of a configuration, and that of the environment; a plugin must be in both."""
    lists = ((tuple(texts), source), (ambient(VARIABLE, environ), VARIABLE))
    return [Trust(names, said) for names, said in lists if names]


def _pattern(name: str) -> str:
    return canonical(name.removesuffix("*")) + "*" * name.endswith("*")
