"""Normalises advantages over whatever shares the micro-batch."""

from __future__ import annotations

from slime_hookspecs import Batch, Loss, Policy, hookimpl


@hookimpl
def slime_loss(batch: Batch, policy: Policy) -> Loss:
    """REINFORCE on centred advantages."""
    advantages = batch["advantages"]
    return Loss(-policy.logprobs * (advantages - advantages.mean()))
