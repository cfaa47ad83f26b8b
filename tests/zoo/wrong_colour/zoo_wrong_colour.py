"""Writes a filter as a coroutine, which is never awaited and so is always true."""

from __future__ import annotations

from slime_hookspecs import KEEP, Group, Verdict, hookimpl


@hookimpl
def slime_on_run_end() -> None:
    """Do nothing."""


@hookimpl
async def slime_filter(group: Group) -> Verdict:
    """Never awaited."""
    return KEEP
