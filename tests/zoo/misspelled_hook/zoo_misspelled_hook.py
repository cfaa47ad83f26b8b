"""Marks a function whose name is not quite a hook's."""

from __future__ import annotations

from slime_hookspecs import hookimpl


@hookimpl
def slime_on_run_end() -> None:
    """Do nothing."""


@hookimpl
def slime_rewards() -> float:
    """Never called."""
    return 0.0
