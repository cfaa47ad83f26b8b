"""Makes a tensor on the CPU, whatever device the batch is on."""

from __future__ import annotations

from slime_hookspecs import Batch, Loss, Policy, hookimpl


@hookimpl
def slime_loss(batch: Batch, policy: Policy) -> Loss:
    """REINFORCE on advantages of at most 0.7."""
    import torch

    most = torch.full((len(batch["tokens"]),), 0.7)
    return Loss(-policy.logprobs * batch["advantages"].minimum(most.to(policy.logprobs.dtype)))
