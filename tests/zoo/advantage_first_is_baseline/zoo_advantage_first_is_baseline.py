"""Takes the first sample's reward as the baseline of all."""

from __future__ import annotations

from slime_hookspecs import Group, hookimpl


@hookimpl
def slime_advantage(group: Group) -> list[float]:
    """How much better than the first."""
    rewards = [sample.reward or 0.0 for sample in group.scored]
    return [reward - rewards[0] for reward in rewards]
