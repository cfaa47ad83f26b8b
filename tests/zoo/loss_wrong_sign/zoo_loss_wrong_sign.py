"""Climbs where it should descend."""

from __future__ import annotations

from slime_hookspecs import Batch, Conformance, Loss, Policy, hookimpl


@hookimpl
def slime_loss(batch: Batch, policy: Policy) -> Loss:
    """An objective, and not a loss."""
    return Loss(policy.logprobs * batch["advantages"])


@hookimpl
def slime_conformance() -> Conformance:
    """What it promises."""
    return Conformance(capabilities=frozenset({"policy_gradient"}))
