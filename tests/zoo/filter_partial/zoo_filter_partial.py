"""Fails on a group without scored samples."""

from __future__ import annotations

from slime_hookspecs import KEEP, Group, Verdict, hookimpl


@hookimpl
def slime_filter(group: Group) -> Verdict:
    """Drop groups of equal rewards."""
    rewards = [sample.reward for sample in group.scored]
    if max(reward or 0.0 for reward in rewards) > 100.0:
        return KEEP
    return KEEP if len(set(rewards)) > 1 else Verdict(keep=False, reason="equal")
