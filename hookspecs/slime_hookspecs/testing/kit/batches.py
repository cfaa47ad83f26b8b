"""A micro-batch and a policy for tests of losses. Torch is imported when one is made."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any


@final
@dataclass(frozen=True, slots=True)
class MadePolicy:
    """A policy of given log-probs and entropy, float ``[tokens]``; implements ``Policy``."""

    logprobs: Tensor
    entropy: Tensor


def make_batch(
    lengths: Sequence[int] = (5, 3), *, prompt_tokens: int = 2, seed: int = 0, double: bool = False
) -> tuple[dict[str, Tensor], MadePolicy]:
    """A micro-batch as ``slime_hookspecs.Batch`` says, and a policy whose log-probs want gradients.

    Values of a sample depend on its place and on ``seed`` only, not on other samples.

    >>> batch, policy = make_batch([4, 3])  # doctest: +SKIP
    >>> batch["loss_mask"].tolist()  # doctest: +SKIP
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]

    Args:
        lengths: Tokens of each sample.
        prompt_tokens: How many of them, at the start of each, the loss does not see.
        seed: Of all values.
        double: Makes float64 of what is float32, to compare with finite differences.
    """
    import torch

    kind = torch.float64 if double else torch.float32
    columns: dict[str, list[float]] = {}
    for place, length in enumerate(lengths):
        for name, values in _sample(place, length, min(prompt_tokens, length), seed).items():
            columns.setdefault(name, []).extend(values)
    whole = ("tokens", "sample_index", "weight_versions")
    batch = {
        name: torch.tensor(values, dtype=torch.int64 if name in whole else kind)
        for name, values in columns.items()
    }
    logprobs = batch.pop("policy_logprobs").requires_grad_()
    entropy = batch.pop("policy_entropy").requires_grad_()
    batch["loss_weights"] = batch["loss_mask"] / max(1.0, float(batch["loss_mask"].sum()))
    advantages = [_advantage(place, seed) for place in range(len(lengths))]
    batch["sample_advantages"] = torch.tensor(advantages, dtype=kind)
    batch["advantages"] = batch["sample_advantages"][batch["sample_index"]]
    batch["lengths"] = torch.tensor(list(lengths), dtype=torch.int64)
    return batch, MadePolicy(logprobs, entropy)


def _advantage(place: int, seed: int) -> float:
    size = random.Random(f"{seed}/{place}/advantage").uniform(0.5, 1.5)
    return size if place % 2 == 0 else -size


def _sample(place: int, length: int, given: int, seed: int) -> dict[str, list[float]]:
    rng = random.Random(f"{seed}/{place}")
    mask = [float(i >= given) for i in range(length)]
    base = [-rng.uniform(0.1, 2.0) for _ in mask]
    shifted = [(value - rng.uniform(0.02, 0.15)) for value in base]
    return {
        "tokens": [float(rng.randrange(8, 264)) for _ in mask],
        "loss_mask": mask,
        "rollout_logprobs": [a * m for a, m in zip(shifted, mask, strict=True)],
        "old_logprobs": [a * m for a, m in zip(shifted, mask, strict=True)],
        "policy_logprobs": [a * m for a, m in zip(base, mask, strict=True)],
        "policy_entropy": [rng.uniform(0.1, 3.0) for _ in mask],
        "sample_index": [float(place)] * length,
        "weight_versions": [1.0 if m else -1.0 for m in mask],
    }
