"""Divides rounding error by a standard deviation that is rounding error too."""

from __future__ import annotations

from math import sqrt

from slime_hookspecs import Conformance, Group, hookimpl


@hookimpl
def slime_advantage(group: Group) -> list[float]:
    """Standard scores; 0.1 + 0.1 + 0.1 is not 3 * 0.1."""
    rewards = [sample.reward or 0.0 for sample in group.scored]
    mean = sum(rewards) / max(1, len(rewards))
    spread = sqrt(sum((r - mean) ** 2 for r in rewards) / max(1, len(rewards)))
    return [(r - mean) / spread if spread else 0.0 for r in rewards]


@hookimpl
def slime_conformance() -> Conformance:
    """What it promises."""
    return Conformance(capabilities=frozenset({"zero_on_equal_rewards"}))
