"""Forgets @hookimpl on one of its hooks."""

from __future__ import annotations

from slime_hookspecs import KEEP, Group, Verdict, hookimpl


@hookimpl
def slime_on_run_end() -> None:
    """Do nothing."""


def slime_filter(group: Group) -> Verdict:
    """Never called."""
    return KEEP
