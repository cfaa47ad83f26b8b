"""Supervised fine-tuning: the negative log-likelihood of each demonstrated token."""

from __future__ import annotations

from slime_hookspecs import Conformance, Loss, Policy, hookimpl


@hookimpl
def slime_loss(policy: Policy) -> Loss:
    """``-log p(token)``, float32 ``[tokens]``, in nats."""
    return Loss(per_token=-policy.logprobs)


@hookimpl
def slime_conformance() -> Conformance:
    """What it promises."""
    return Conformance(capabilities=frozenset({"no_host_sync"}))
