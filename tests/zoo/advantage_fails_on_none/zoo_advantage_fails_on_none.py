"""Divides by the number of scored samples, which may be 0."""

from __future__ import annotations

from slime_hookspecs import Group, hookimpl


@hookimpl
def slime_advantage(group: Group) -> list[float]:
    """Distances from the mean."""
    rewards = [sample.reward or 0.0 for sample in group.scored]
    mean = sum(rewards) / len(rewards)
    return [reward - mean for reward in rewards]
