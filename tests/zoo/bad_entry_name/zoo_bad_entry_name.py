"""Has an entry name that no TOML table header or flag can spell alike."""

from __future__ import annotations

from slime_hookspecs import hookimpl


@hookimpl
def slime_on_run_end() -> None:
    """Do nothing."""
