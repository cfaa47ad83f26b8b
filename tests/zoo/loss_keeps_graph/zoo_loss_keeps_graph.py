"""Reports a metric that keeps the whole graph alive."""

from __future__ import annotations

from slime_hookspecs import Batch, Loss, Policy, hookimpl


@hookimpl
def slime_loss(batch: Batch, policy: Policy) -> Loss:
    """REINFORCE, with the distance from the old policy."""
    distance = policy.logprobs - batch["old_logprobs"]
    return Loss(-policy.logprobs * batch["advantages"], {"distance": distance})
