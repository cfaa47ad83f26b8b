"""Sorts the group's samples in place to show the best."""

from __future__ import annotations

from slime_hookspecs import Group, hookimpl


@hookimpl
def slime_on_group(group: Group) -> None:
    """Prints the best response."""
    group.samples.sort(key=lambda sample: -(sample.reward or 0.0))
    print(group.samples[0].response)
