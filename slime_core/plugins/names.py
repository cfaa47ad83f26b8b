"""How plugins are spelled, and what to say to a misspelling."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping


def ambient(variable: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The names in an environment variable, separated by commas or spaces."""
    return tuple(filter(None, re.split(r"[,\s]+", environ.get(variable, ""))))


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
    # The contract is imported only for those who misspell: it costs more than a list of plugins.
    from slime_hookspecs.spelling import suggestion as suggest

    return suggest(name, known)


def listed(names: Iterable[str]) -> str:
    """Names in order with commas between, or ``none``."""
    return ", ".join(sorted(names)) or "none"
