"""How plugins are spelled, and what to say to a misspelling."""

from __future__ import annotations

import re
from collections.abc import Iterable


def canonical(distribution: str) -> str:
    """A distribution's name as indexes compare it: lower case, dashes (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def split(spelling: str) -> tuple[str | None, str]:
    """``dist-name:entry`` as (distribution, entry name); plain ``entry`` has no distribution."""
    distribution, colon, entry = spelling.rpartition(":")
    return (canonical(distribution), entry) if colon else (None, entry)


def entry_name(spelling: str) -> str:
    """The entry name in a spelling, which is what a plugin is called inside a run."""
    return split(spelling)[1]


def suggestion(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` with the nearest known names, or nothing."""
    import difflib

    folded = {_fold(one): one for one in sorted(known)}
    close = difflib.get_close_matches(_fold(name), folded, n=3, cutoff=0.6)
    return f"; did you mean {either(folded[one] for one in close)}?" if close else ""


def either(names: Iterable[str]) -> str:
    """Names as ``'a', 'b' or 'c'``."""
    quoted = [repr(name) for name in names]
    head, last = quoted[:-1], quoted[-1:]
    return " or ".join(part for part in (", ".join(head), "".join(last)) if part)


def listed(names: Iterable[str]) -> str:
    """Names in order with commas between, or ``none``."""
    return ", ".join(sorted(names)) or "none"


def _fold(name: str) -> str:
    return name.lower().replace("-", "_")
