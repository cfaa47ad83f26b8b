"""Requirements as nearly all metadata spells them, decided without their whole grammar.

Reading the grammar costs more than all else that a list of plugins does. What is spelled in any
other way is not judged here: ``requirements.check`` has the last word on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from slime_core.plugins.names import canonical

CONTRACT: Final = "slime-hookspecs"

_RELEASE: Final = re.compile(r"\d+(\.\d+)*")
_REQUIREMENT: Final = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\(([0-9.<>=,\s]+)\)|([0-9.<>=,\s]*))"
)
_BOUND: Final = re.compile(r"(>=|<)\s*(\d+(?:\.\d+)*)")
#: A requirement of an extra, which nobody asked for.
_EXTRA: Final = re.compile(r"""[^;]+;\s*extra\s*==\s*(["'])[A-Za-z0-9._-]+\1\s*""")

Release = tuple[int, ...]


def surely_met(requires: Iterable[str], version: Callable[[str], str | None]) -> bool:
    """Whether all requirements are met, the contract's among them; ``False`` where that is unsure.

    Args:
        requires: As in ``Requires-Dist``.
        version: The installed version of a distribution, or ``None``.
    """
    needed = [text for text in requires if not _EXTRA.fullmatch(text)]
    named = [_met(text, version) for text in needed]
    return None not in named and CONTRACT in named


def _met(text: str, version: Callable[[str], str | None]) -> str | None:
    """The canonical name in a requirement that is surely met, else ``None``."""
    found = _REQUIREMENT.fullmatch(text.strip())
    if found is None:
        return None
    name, bounds = canonical(found[1]), found[2] or found[3]
    have = _release(version(name) or "")
    if have is None or not all(_within(have, one) for one in bounds.split(",") if bounds):
        return None
    return name


def _within(have: Release, bound: str) -> bool:
    part = _BOUND.fullmatch(bound.strip())
    limit = _release(part[2]) if part else None
    return part is not None and limit is not None and (have < limit) is (part[1] == "<")


def _release(text: str) -> Release | None:
    """A final release as numbers that compare; ``None`` for any other version."""
    if not _RELEASE.fullmatch(text):
        return None
    numbers = [int(part) for part in text.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
