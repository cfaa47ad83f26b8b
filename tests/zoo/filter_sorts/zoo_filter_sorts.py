"""Sorts the group's samples in place."""

from __future__ import annotations

from slime_hookspecs import KEEP, Group, Verdict, hookimpl


@hookimpl
def slime_filter(group: Group) -> Verdict:
    """Drop groups of equal rewards."""
    group.samples.sort(key=lambda sample: -(sample.reward or 0.0))
    rewards = [sample.reward for sample in group.scored]
    return KEEP if len(set(rewards)) > 1 else Verdict(keep=False, reason="equal")
