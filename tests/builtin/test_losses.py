"""The losses and the token advantage, against references written the slow way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from slime_hookspecs import ConfigError
from torch import Tensor

from slime_core.builtin import broadcast, policy_loss, sft_loss

LOGPROBS = [0.0, -1.0, -0.5, -2.0, -0.1, -3.0, -1.2, -0.7]
OLD = [0.0, -1.5, -0.5, -1.0, -0.6, -1.0, -1.25, -0.65]
ADVANTAGES = [1.0, 1.0, -1.0, -1.0, -0.5, 2.0, 0.7, -0.4]
ROLLOUT = [0.0, -1.5, -0.7, -2.5, -0.6, -0.2, -1.3, -0.6]
MASK = [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]


@dataclass
class FakePolicy:
    """A policy whose log-probs are leaves; counts how often its entropy is read."""

    logprobs: Tensor = field(default_factory=lambda: torch.tensor(LOGPROBS, requires_grad=True))
    entropy_leaf: Tensor = field(
        default_factory=lambda: torch.full((len(LOGPROBS),), 0.5, requires_grad=True)
    )
    entropy_reads: int = 0

    @property
    def entropy(self) -> Tensor:
        self.entropy_reads += 1
        return self.entropy_leaf


def batch() -> dict[str, Tensor]:
    mask = torch.tensor(MASK)
    return {
        "old_logprobs": torch.tensor(OLD),
        "rollout_logprobs": torch.tensor(ROLLOUT),
        "advantages": torch.tensor(ADVANTAGES),
        "loss_mask": mask,
        "loss_weights": mask / mask.sum(),
    }


def reference(low: float, high: float, dual: float | None) -> list[float]:
    """The loss token by token, from its definition."""
    losses = []
    for new, old, advantage in zip(LOGPROBS, OLD, ADVANTAGES, strict=True):
        ratio = math.exp(new - old)
        loss = -min(ratio * advantage, min(max(ratio, 1 - low), 1 + high) * advantage)
        if dual is not None and advantage < 0:
            loss = min(loss, -dual * advantage)
        losses.append(loss)
    return losses


def run(make_context: Any, **options: Any) -> tuple[Any, FakePolicy]:
    policy = FakePolicy()
    ctx = make_context(policy_loss.Options(**options))
    return policy_loss.slime_loss(batch(), policy, ctx), policy


@pytest.mark.parametrize(
    ("low", "high", "dual"),
    [(0.2, 0.2, None), (0.2, 0.28, None), (0.1, 0.3, 3.0), (0.2, 0.2, 1.5), (0.0, 0.0, None)],
)
def test_loss_equals_its_definition(
    low: float, high: float, dual: float | None, make_context: Any
) -> None:
    loss, _ = run(make_context, clip_low=low, clip_high=high, clip_dual=dual)
    assert loss.per_token.tolist() == pytest.approx(reference(low, high, dual), rel=1e-5)


def test_gradient_is_zero_where_the_mask_is_zero(make_context: Any) -> None:
    loss, policy = run(make_context, entropy_coef=0.01)
    (loss.per_token * batch()["loss_weights"]).sum().backward()
    untrained = torch.tensor(MASK) == 0
    assert policy.logprobs.grad is not None
    assert policy.logprobs.grad[untrained].tolist() == [0.0, 0.0]
    assert policy.entropy_leaf.grad is not None
    assert policy.entropy_leaf.grad[untrained].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dual", [None, 1.5])
def test_clipped_tokens_and_only_they_have_no_gradient(
    dual: float | None, make_context: Any
) -> None:
    loss, policy = run(make_context, clip_dual=dual)
    loss.per_token.sum().backward()
    assert policy.logprobs.grad is not None
    clipped = loss.metrics["clip_fraction"] == 1
    assert clipped.any()
    assert not clipped.all()
    assert torch.equal(policy.logprobs.grad == 0, clipped)


def test_gradient_of_an_unclipped_token_is_minus_ratio_times_advantage(make_context: Any) -> None:
    loss, policy = run(make_context)
    loss.per_token.sum().backward()
    expected = -math.exp(LOGPROBS[6] - OLD[6]) * ADVANTAGES[6]
    assert policy.logprobs.grad is not None
    assert policy.logprobs.grad[6].item() == pytest.approx(expected, rel=1e-5)


def test_gradient_equals_finite_differences() -> None:
    old, advantages = (torch.tensor(x, dtype=torch.float64) for x in (OLD, ADVANTAGES))
    options = policy_loss.Options(clip_high=0.28, clip_dual=3.0)

    def loss(logprobs: Tensor) -> Tensor:
        return policy_loss.clipped((logprobs - old).exp(), advantages, options)

    inputs = torch.tensor(LOGPROBS, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (inputs,))


def test_metrics_are_per_token_and_detached(make_context: Any) -> None:
    loss, _ = run(make_context, entropy_coef=0.1)
    assert set(loss.metrics) == {"clip_fraction", "ratio", "approx_kl", "entropy"}
    assert all(m.shape == (len(LOGPROBS),) for m in loss.metrics.values())
    assert not any(m.requires_grad for m in loss.metrics.values())
    assert loss.metrics["clip_fraction"].tolist() == [0, 1, 0, 1, 0, 0, 0, 0]
    assert (loss.metrics["approx_kl"] >= 0).all()


def test_approx_kl_is_the_k3_estimate(make_context: Any) -> None:
    loss, _ = run(make_context)
    log_ratio = LOGPROBS[3] - OLD[3]
    expected = math.exp(log_ratio) - 1 - log_ratio
    assert loss.metrics["approx_kl"][3].item() == pytest.approx(expected, rel=1e-5)


def test_entropy_is_read_only_when_it_has_a_weight(make_context: Any) -> None:
    plain, policy = run(make_context)
    assert policy.entropy_reads == 0
    with_bonus, policy = run(make_context, entropy_coef=0.1)
    assert policy.entropy_reads == 1
    bonus = with_bonus.per_token - plain.per_token
    assert bonus.tolist() == pytest.approx([-0.05] * len(LOGPROBS), abs=1e-6)


def test_a_ratio_that_would_overflow_gives_finite_loss_and_gradient(make_context: Any) -> None:
    policy = FakePolicy(logprobs=torch.tensor([0.0, 0.0], requires_grad=True))
    far = {
        "old_logprobs": torch.tensor([-200.0, -200.0]),
        "advantages": torch.tensor([0.0, -1.0]),
    }
    loss = policy_loss.slime_loss(far, policy, make_context(policy_loss.Options()))
    loss.per_token.sum().backward()
    assert torch.isfinite(loss.per_token).all()
    assert policy.logprobs.grad is not None
    assert torch.isfinite(policy.logprobs.grad).all()


def weights(kind: str, low: float, high: float) -> list[float]:
    """Importance weights of the tokens, from their definition."""
    found = [math.exp(old - then) for old, then in zip(OLD, ROLLOUT, strict=True)]
    if kind == "truncate":
        return [min(weight, high) for weight in found]
    return [weight if low <= weight <= high else 0.0 for weight in found]


@pytest.mark.parametrize("kind", ["truncate", "mask"])
@pytest.mark.parametrize(("low", "high"), [(0.5, 2.0), (0.9, 1.1), (0.0, 1.0), (0.0, 100.0)])
def test_tokens_of_another_policy_weigh_by_how_likely_the_trainer_finds_them(
    kind: str, low: float, high: float, make_context: Any
) -> None:
    options = {"correction": kind, "correction_low": low, "correction_high": high}
    loss, policy = run(make_context, entropy_coef=0.1, **options)
    plain = reference(0.2, 0.2, None)
    expected = [
        weight * one - 0.1 * 0.5
        for weight, one in zip(weights(kind, low, high), plain, strict=True)
    ]
    assert loss.per_token.tolist() == pytest.approx(expected, rel=1e-5)
    assert loss.metrics["correction_weight"].tolist() == pytest.approx(weights(kind, low, high))
    raw = [math.exp(old - then) for old, then in zip(OLD, ROLLOUT, strict=True)]
    cut = [weight > high or (kind == "mask" and weight < low) for weight in raw]
    assert loss.metrics["correction_fraction"].tolist() == cut
    loss.per_token.sum().backward()  # the weights themselves carry no gradient
    assert policy.logprobs.grad is not None
    free, uncorrected = run(make_context)
    free.per_token.sum().backward()
    assert uncorrected.logprobs.grad is not None
    gradients = uncorrected.logprobs.grad.tolist()
    scaled = [w * g for w, g in zip(weights(kind, low, high), gradients, strict=True)]
    assert policy.logprobs.grad.tolist() == pytest.approx(scaled, rel=1e-5)


def test_corrected_gradient_is_that_of_the_sampling_policy_on_average() -> None:
    """Over all tokens of a small vocabulary, tokens of one policy teach as another's would."""
    torch.manual_seed(0)
    now, then = torch.randn(2, 50, dtype=torch.float64).log_softmax(-1)
    advantages = torch.randn(50, dtype=torch.float64)
    options = policy_loss.Options(correction="truncate", correction_high=1e6)
    weight, beyond = policy_loss.correction(now - then, options)
    assert not beyond.any()
    ours = (then.exp() * weight * advantages).sum()
    assert ours.item() == pytest.approx((now.exp() * advantages).sum().item())


def test_without_a_correction_log_probs_of_the_servers_are_not_read(make_context: Any) -> None:
    known = {k: v for k, v in batch().items() if k != "rollout_logprobs"}
    loss = policy_loss.slime_loss(known, FakePolicy(), make_context(policy_loss.Options()))
    assert not [name for name in loss.metrics if name.startswith("correction")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"clip_low": -0.1},
        {"clip_low": 1.5},
        {"clip_high": -1.0},
        {"clip_dual": 1.0},
        {"correction_low": -0.1},
        {"correction_low": 1.1},
        {"correction_high": 0.9},
    ],
)
def test_options_out_of_range_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"policy_loss.{next(iter(wrong))}"):
        policy_loss.Options(**wrong)


def test_sft_loss_is_the_negative_log_likelihood() -> None:
    policy = FakePolicy()
    loss = sft_loss.slime_loss(policy)
    assert torch.equal(loss.per_token, -policy.logprobs)
    (loss.per_token * batch()["loss_weights"]).sum().backward()
    assert policy.logprobs.grad is not None
    assert torch.equal(policy.logprobs.grad, -batch()["loss_weights"])


def test_broadcast_gives_each_token_the_advantage_of_its_own_sample() -> None:
    found = broadcast.slime_token_advantage(
        {
            "sample_advantages": torch.tensor([0.5, -1.0, 2.0]),
            "sample_index": torch.tensor([0, 0, 1, 2, 2]),
        }
    )
    assert found.dtype == torch.float32
    assert found.tolist() == [0.5, 0.5, -1.0, 2.0, 2.0]
