"""Promises to read no value, and asks for a sum."""

from __future__ import annotations

from slime_hookspecs import Batch, Conformance, Loss, Policy, hookimpl


@hookimpl
def slime_loss(batch: Batch, policy: Policy) -> Loss:
    """REINFORCE; nothing is trained where nothing is."""
    if batch["loss_mask"].sum() == 0:
        return Loss(policy.logprobs * 0)
    return Loss(-policy.logprobs * batch["advantages"])


@hookimpl
def slime_conformance() -> Conformance:
    """What it promises."""
    return Conformance(capabilities=frozenset({"no_host_sync"}))
