"""Writes the advantages into the samples itself."""

from __future__ import annotations

from statistics import fmean

from slime_hookspecs import Group, hookimpl


@hookimpl
def slime_advantage(group: Group) -> list[float]:
    """Distances from the mean."""
    rewards = [sample.reward or 0.0 for sample in group.scored]
    for sample, reward in zip(group.scored, rewards, strict=True):
        sample.advantage = reward - fmean(rewards)
    return [reward - fmean(rewards) for reward in rewards]
