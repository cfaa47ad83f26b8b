"""From a micro-batch's logits to the number that is differentiated, and what is reported of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from slime_hookspecs import AnyContext, Loss, PluginError
from torch import Tensor

from slime_core.trainer.batch import DeviceBatch
from slime_core.trainer.policy import PackedPolicy

#: Entropy that the loss does not ask for is measured up to this vocabulary: there it costs nothing.
CHEAP_VOCABULARY: Final = 8192
#: Prefix of values of which the largest is reported, not the mean.
LARGEST: Final = "max:"

Sums = dict[str, Tensor]


@final
@dataclass(frozen=True, slots=True)
class Hook:
    """A bound hook with the context of one step."""

    bound: Any
    ctx: AnyContext


@final
@dataclass(frozen=True, slots=True)
class Objective:
    """The plugins' part in a step.

    Attributes:
        token_advantage: ``slime_token_advantage``.
        loss: ``slime_loss``.
        cheap_entropy: Whether to report entropy that the loss has not read.
    """

    token_advantage: Hook
    loss: Hook
    cheap_entropy: bool


def micro_batch_loss(
    micro: DeviceBatch, policy: PackedPolicy, objective: Objective
) -> tuple[Tensor, Sums]:
    """The summed loss of a micro-batch and the sums that its metrics are made of. No host sync."""
    old = micro.old_logprobs
    batch = dict(micro.columns)
    batch["old_logprobs"] = policy.logprobs.detach() if old is None else old
    hook = objective.token_advantage
    batch["advantages"] = _per_token(
        "its advantages", hook, hook.bound.call(batch, hook.ctx), batch
    )
    hook = objective.loss
    loss = _checked(hook, hook.bound.call(batch, policy, hook.ctx), batch)
    total = (loss.per_token * batch["loss_weights"]).sum()
    with torch.no_grad():
        return total, _sums(total, batch, policy, loss, objective.cheap_entropy)


def _checked(hook: Hook, answer: Any, batch: Mapping[str, Tensor]) -> Loss:
    if not isinstance(answer, Loss):
        raise PluginError(
            f"plugin {hook.bound.plugin}, hook slime_loss: returned {type(answer).__name__}; "
            "a slime_hookspecs.Loss is due"
        )
    _per_token("per_token", hook, answer.per_token, batch)
    for name, value in answer.metrics.items():
        _per_token(f"metric {name!r}", hook, value, batch)
    return answer


def _per_token(what: str, hook: Hook, value: Any, batch: Mapping[str, Tensor]) -> Tensor:
    expected = batch["tokens"].shape
    if not isinstance(value, Tensor) or value.shape != expected:
        found = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise PluginError(
            f"plugin {hook.bound.plugin}, in its trainer hook: {what} has shape {found}; "
            f"one value a token is due, {list(expected)}"
        )
    return value


def _sums(
    total: Tensor, batch: Mapping[str, Tensor], policy: PackedPolicy, loss: Loss, cheap: bool
) -> Sums:
    # Not the mask: copies that fill up a rank's micro-batches have mask 1 and weight 0.
    trained = (batch["loss_weights"] > 0).float()
    sums = {"loss": total.detach(), "tokens": trained.sum()}
    sums |= {f"mean:{name}": (value * trained).sum() for name, value in loss.metrics.items()}
    if policy.entropy_known() or cheap:
        sums["mean:entropy"] = (policy.entropy * trained).sum()
    return sums | _against_rollout(batch, trained)


def _against_rollout(batch: Mapping[str, Tensor], trained: Tensor) -> Sums:
    """How far the servers' log-probs are from the trainer's, over tokens that a server sampled."""
    sampled = trained * (batch["weight_versions"] >= 0)
    log_ratio = (batch["old_logprobs"] - batch["rollout_logprobs"]) * sampled
    difference = log_ratio.abs()
    return {
        "sampled": sampled.sum(),
        "rollout:train_rollout_logprob_diff": difference.sum(),
        "rollout:kl_rollout": (log_ratio.exp() - 1.0 - log_ratio).sum(),
        f"{LARGEST}train_rollout_logprob_diff_max": difference.max(),
    }
