"""Raises when it is imported."""

from __future__ import annotations

from slime_hookspecs import hookimpl


@hookimpl
def slime_on_run_end() -> None:
    """Do nothing."""


raise RuntimeError("broken at import")
