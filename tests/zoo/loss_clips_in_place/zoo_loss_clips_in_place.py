"""Clips the batch's advantages in place."""

from __future__ import annotations

from slime_hookspecs import Batch, Loss, Policy, hookimpl


@hookimpl
def slime_loss(batch: Batch, policy: Policy) -> Loss:
    """REINFORCE on clipped advantages."""
    batch["advantages"].clamp_(-0.7, 0.7)
    return Loss(-policy.logprobs * batch["advantages"])
