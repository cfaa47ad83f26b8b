"""Reports a metric with one value a sample."""

from __future__ import annotations

from slime_hookspecs import Batch, Loss, Policy, hookimpl


@hookimpl
def slime_loss(batch: Batch, policy: Policy) -> Loss:
    """REINFORCE."""
    return Loss(-policy.logprobs * batch["advantages"], {"best": batch["sample_advantages"]})
