"""The clipped policy-gradient loss of PPO, with the variants that the field uses.

With ``ratio = exp(logprob - old_logprob)`` and advantage ``A``, the loss of a token is::

    -min(ratio * A, clip(ratio, 1 - clip_low, 1 + clip_high) * A)

* PPO (Schulman et al. 2017, https://arxiv.org/abs/1707.06347): ``clip_low == clip_high``.
* Clip-higher of DAPO (Yu et al. 2025, https://arxiv.org/abs/2503.14476): ``clip_high`` above it.
* Dual clip (Ye et al. 2019, https://arxiv.org/abs/1912.09729): where ``A < 0`` the loss is at most
  ``-clip_dual * A``, so that one unlikely token cannot dominate an update.

The ratio is of two views of the trainer. What the servers sampled with differs from both: by older
weights under ``--schedule async``, and by other kernels always. ``correction`` weighs each token by
``w = exp(old_logprob - rollout_logprob)``, which makes the policy that sampled the one that the
expectation is over, as in decoupled PPO (Fu et al. 2025, AReaL, https://arxiv.org/abs/2505.24298):

* ``truncate``: ``min(w, correction_high)`` (truncated importance sampling: Ionides 2008, "Truncated
  Importance Sampling", J. Comput. Graph. Stat. 17(2)).
* ``mask``: ``w`` from ``correction_low`` to ``correction_high``, and 0 outside, so that tokens on
  which trainer and servers disagree widely teach nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from slime_hookspecs import Batch, ConfigError, Conformance, Context, Loss, Policy, hookimpl

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any

#: Beyond this the ratio would overflow, and ``inf * 0`` is NaN.
MAX_LOG_RATIO: Final = 20.0


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``policy_loss``.

    Attributes:
        clip_low: The ratio is clipped at ``1 - clip_low`` where the advantage is negative.
        clip_high: The ratio is clipped at ``1 + clip_high`` where the advantage is positive.
        clip_dual: Largest ratio where the advantage is negative, above 1; ``None`` is no limit.
        entropy_coef: Weight of the entropy bonus; 0 leaves entropy uncomputed.
        correction: What to do about tokens that another policy sampled than the one before the
            update: ``none``, ``truncate`` or ``mask``.
        correction_low: ``mask`` drops tokens of smaller weight.
        correction_high: ``truncate`` cuts weights here; ``mask`` drops tokens of greater weight.
    """

    clip_low: float = field(
        default=0.2, metadata={"help": "clip the ratio at 1 - this, from 0 to 1"}
    )
    clip_high: float = field(default=0.2, metadata={"help": "clip the ratio at 1 + this"})
    clip_dual: float | None = field(
        default=None, metadata={"help": "dual clip for negative advantages, above 1"}
    )
    entropy_coef: float = field(default=0.0, metadata={"help": "weight of the entropy bonus"})
    correction: Literal["none", "truncate", "mask"] = field(
        default="none", metadata={"help": "importance weights for what older weights sampled"}
    )
    correction_low: float = field(
        default=0.5, metadata={"help": "mask: drop tokens of smaller weight, from 0 to 1"}
    )
    correction_high: float = field(
        default=2.0, metadata={"help": "largest importance weight, 1 or more"}
    )

    def __post_init__(self) -> None:
        """Refuse what would silently train the wrong way."""
        if not 0.0 <= self.clip_low <= 1.0:
            raise ConfigError(f"policy_loss.clip_low is {self.clip_low}; it must be from 0 to 1")
        if not self.clip_high >= 0.0:
            raise ConfigError(f"policy_loss.clip_high is {self.clip_high}; it must be 0 or more")
        if self.clip_dual is not None and not self.clip_dual > 1.0:
            raise ConfigError(f"policy_loss.clip_dual is {self.clip_dual}; it must be above 1")
        if not 0.0 <= self.correction_low <= 1.0:
            low = self.correction_low
            raise ConfigError(f"policy_loss.correction_low is {low}; it must be from 0 to 1")
        if not self.correction_high >= 1.0:
            high = self.correction_high
            raise ConfigError(f"policy_loss.correction_high is {high}; it must be 1 or more")


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
def slime_loss(batch: Batch, policy: Policy, ctx: Context[Options]) -> Loss:
    """Clipped loss ``[tokens]``; entropy is read only where it has a weight."""
    options = ctx.options
    log_ratio = (policy.logprobs - batch["old_logprobs"]).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    per_token = clipped(log_ratio.exp(), batch["advantages"], options)
    metrics = statistics(log_ratio.detach(), batch["advantages"], options)
    if options.correction != "none":
        weight, beyond = correction(batch["old_logprobs"] - batch["rollout_logprobs"], options)
        per_token = per_token * weight
        metrics |= {"correction_weight": weight, "correction_fraction": beyond}
    if options.entropy_coef:
        entropy = policy.entropy
        per_token = per_token - options.entropy_coef * entropy
        metrics["entropy"] = entropy.detach()
    return Loss(per_token, metrics)


def clipped(ratio: Tensor, advantages: Tensor, options: Options) -> Tensor:
    """The clipped loss, ``[tokens]``, of ratios and advantages, ``[tokens]``."""
    import torch

    bounded = ratio.clamp(1.0 - options.clip_low, 1.0 + options.clip_high)
    loss = torch.maximum(-ratio * advantages, -bounded * advantages)
    if options.clip_dual is None:
        return loss
    return torch.where(advantages < 0, torch.minimum(loss, -options.clip_dual * advantages), loss)


def correction(log_weight: Tensor, options: Options) -> tuple[Tensor, Tensor]:
    """Each token's importance weight, and 1 where it was truncated or masked; ``[tokens]`` both."""
    weight = log_weight.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    beyond = weight > options.correction_high
    if options.correction == "truncate":
        return weight.clamp(max=options.correction_high), beyond.to(weight.dtype)
    beyond = beyond | (weight < options.correction_low)
    return weight.masked_fill(beyond, 0.0), beyond.to(weight.dtype)


def statistics(log_ratio: Tensor, advantages: Tensor, options: Options) -> dict[str, Tensor]:
    """What to report, each ``[tokens]``.

    ``clip_fraction`` is 1 where clipping stopped the gradient. ``approx_kl`` estimates
    KL(old || new) as ``ratio - 1 - log(ratio)``: never negative (k3 of
    http://joschu.net/blog/kl-approx.html).
    """
    ratio = log_ratio.exp()
    ceiling = options.clip_dual or float("inf")
    too_high = (advantages > 0) & (ratio > 1.0 + options.clip_high)
    too_low = (advantages < 0) & ((ratio < 1.0 - options.clip_low) | (ratio > ceiling))
    return {
        "clip_fraction": (too_high | too_low).to(ratio.dtype),
        "ratio": ratio,
        "approx_kl": ratio - 1.0 - log_ratio,
    }


@hookimpl
def slime_conformance() -> Conformance:
    """What it promises, with all of its terms."""
    return Conformance(
        capabilities=frozenset({"no_host_sync", "policy_gradient"}),
        options={
            "clip_high": 0.28,
            "clip_dual": 3.0,
            "entropy_coef": 0.01,
            "correction": "truncate",
        },
    )
