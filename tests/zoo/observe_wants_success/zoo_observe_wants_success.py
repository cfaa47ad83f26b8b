"""Reads a number that only a successful run has."""

from __future__ import annotations

from slime_hookspecs import RunEndEvent, hookimpl


@hookimpl
def slime_on_run_end(event: RunEndEvent) -> None:
    """Says how good it got."""
    print(f"{event.status}: {event.summary['reward/mean']:.3f}")
