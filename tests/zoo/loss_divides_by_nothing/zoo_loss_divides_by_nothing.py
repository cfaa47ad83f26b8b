"""Divides by the number of trained tokens, which may be 0."""

from __future__ import annotations

from slime_hookspecs import Batch, Loss, Policy, hookimpl


@hookimpl
def slime_loss(batch: Batch, policy: Policy) -> Loss:
    """Each sample's log-ratio, averaged over its trained tokens."""
    mask, where = batch["loss_mask"], batch["sample_index"]
    log_ratio = (policy.logprobs - batch["old_logprobs"]).clamp(-20, 20) * mask
    zeros = log_ratio.new_zeros(len(batch["lengths"]))
    means = zeros.index_add(0, where, log_ratio) / zeros.index_add(0, where, mask)
    return Loss(-means[where].exp() * batch["advantages"])
