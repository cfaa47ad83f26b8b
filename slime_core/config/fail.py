"""Says what is wrong with a setting, where, and which known name was probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def config_error(message: str) -> Exception:
    """A ``ConfigError``, imported late: the contract costs more than all of ``--help``."""
    from slime_hookspecs.errors import ConfigError

    return ConfigError(message)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that looks most like ``name``, or ``None``."""
    from difflib import get_close_matches

    found = get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean X?``, or nothing when no known name is near."""
    found = nearest(name, known)
    return f"; did you mean {found}?" if found else ""
