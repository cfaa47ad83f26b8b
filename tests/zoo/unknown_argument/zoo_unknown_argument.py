"""Takes an argument that the hook does not offer."""

from __future__ import annotations

from slime_hookspecs import KEEP, Group, Verdict, hookimpl


@hookimpl
def slime_on_run_end() -> None:
    """Do nothing."""


@hookimpl
def slime_filter(groups: list[Group]) -> Verdict:
    """Never called."""
    return KEEP
