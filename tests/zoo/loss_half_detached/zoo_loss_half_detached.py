"""Detaches one of two factors, and does not say so."""

from __future__ import annotations

from slime_hookspecs import Batch, Loss, Policy, hookimpl


@hookimpl
def slime_loss(batch: Batch, policy: Policy) -> Loss:
    """REINFORCE with a weight that is meant to be differentiated."""
    ratio = (policy.logprobs - batch["old_logprobs"]).clamp(-20, 20).exp()
    return Loss(-ratio.detach() * policy.logprobs * batch["advantages"])
