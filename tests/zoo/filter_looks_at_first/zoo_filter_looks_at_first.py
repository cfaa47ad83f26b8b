"""Judges a group by its first sample."""

from __future__ import annotations

from slime_hookspecs import KEEP, Group, Verdict, hookimpl


@hookimpl
def slime_filter(group: Group) -> Verdict:
    """Drop groups of equal rewards."""
    rewards = [sample.reward for sample in group.scored[:2]]
    return KEEP if len(set(rewards)) > 1 else Verdict(keep=False, reason="equal")
