"""Averages the ratio over all tokens of a sample, its prompt among them."""

from __future__ import annotations

from slime_hookspecs import Batch, Loss, Policy, hookimpl


@hookimpl
def slime_loss(batch: Batch, policy: Policy) -> Loss:
    """A sample's mean ratio."""
    where = batch["sample_index"]
    log_ratio = (policy.logprobs - batch["old_logprobs"]).clamp(-20, 20)
    zeros = log_ratio.new_zeros(len(batch["lengths"]))
    means = zeros.index_add(0, where, log_ratio) / batch["lengths"]
    return Loss(-means[where].exp() * batch["advantages"])
