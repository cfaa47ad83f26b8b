"""Lets the ratio overflow where the policy has moved far."""

from __future__ import annotations

from slime_hookspecs import Batch, Loss, Policy, hookimpl


@hookimpl
def slime_loss(batch: Batch, policy: Policy) -> Loss:
    """Importance-weighted, with no limit."""
    ratio = (policy.logprobs - batch["old_logprobs"]).exp()
    return Loss(-ratio * batch["advantages"])
