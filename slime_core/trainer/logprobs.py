"""Log-probs and entropy from logits whose vocabulary is split over the tensor-parallel group.

Both work on slices of rows, so that no float32 copy of all logits ever exists, and recompute the
softmax in the backward pass from the logits that the model holds anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast, final

import torch
import torch.distributed as dist
from torch import Tensor

#: Most logits that are turned into float32 at once.
SLICE: Final = 2**25


@final
@dataclass(frozen=True, slots=True)
class VocabularyPart:
    """The part of the vocabulary that this rank has logits of.

    Attributes:
        start: First token id.
        size: Token ids; logits beyond are padding and are left out.
        scale: Factor on all logits: one over the sampling temperature.
        group: Ranks that hold the other parts; ``None`` where there are none.
    """

    start: int
    size: int
    scale: float = 1.0
    group: Any = None


def log_normaliser(logits: Tensor, part: VocabularyPart) -> Tensor:
    """Log of the sum of exponentiated logits over the whole vocabulary, float32 ``[tokens]``."""
    with torch.no_grad():
        local = torch.cat([rows.logsumexp(-1) for _, rows in _slices(logits, part)])
        if part.group is None:
            return local
        highest = local.clone()
        dist.all_reduce(highest, dist.ReduceOp.MAX, group=part.group)
        total = (local - highest).exp_()
        dist.all_reduce(total, group=part.group)
        return highest + total.log_()


def token_logprobs(
    logits: Tensor, targets: Tensor, normaliser: Tensor, part: VocabularyPart
) -> Tensor:
    """Log-prob of ``targets[i]`` under ``logits[i]``, float32 ``[tokens]``, with gradient.

    Args:
        logits: ``[tokens, vocabulary/TP]``, any float type.
        targets: int64 ``[tokens]``, ids of the whole vocabulary.
        normaliser: What ``log_normaliser`` says of these logits.
        part: Where this rank's logits lie.
    """
    return cast(Tensor, _TokenLogprobs.apply(logits, targets, normaliser, part))


def entropies(logits: Tensor, normaliser: Tensor, part: VocabularyPart) -> Tensor:
    """Entropy in nats of each row's distribution, float32 ``[tokens]``, with gradient."""
    return cast(Tensor, _Entropies.apply(logits, normaliser, part))


def _slices(logits: Tensor, part: VocabularyPart) -> Iterator[tuple[slice, Tensor]]:
    """Rows of float32 logits without padding, and where they are."""
    step = max(1, SLICE // max(1, logits.shape[1]))
    for begin in range(0, logits.shape[0], step):
        rows = slice(begin, begin + step)
        values = logits[rows, : part.size].float()
        yield rows, values if part.scale == 1.0 else values * part.scale


def _local(targets: Tensor, part: VocabularyPart) -> tuple[Tensor, Tensor]:
    """Columns of the targets, and which of them are on this rank."""
    columns = targets - part.start
    here = (columns >= 0) & (columns < part.size)
    return columns.clamp(0, part.size - 1), here


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, targets: Tensor, normaliser: Tensor, part: VocabularyPart
    ) -> Tensor:
        columns, here = _local(targets, part)
        picked = logits.gather(1, columns[:, None])[:, 0].float() * part.scale
        ctx.save_for_backward(logits, columns, here, normaliser)
        ctx.part = part
        if part.group is not None:
            picked = torch.where(here, picked, 0.0)
            dist.all_reduce(picked, group=part.group)
        return picked - normaliser

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        logits, columns, here, normaliser = ctx.saved_tensors
        part, grad = ctx.part, grads[0] * ctx.part.scale
        out = torch.empty_like(logits)
        out[:, part.size :] = 0
        for rows, values in _slices(logits, part):
            softmax = (values - normaliser[rows, None]).exp_()
            softmax *= -grad[rows, None]
            softmax.scatter_add_(1, columns[rows, None], (grad[rows] * here[rows])[:, None])
            out[rows, : part.size] = softmax
        return out, None, None, None


class _Entropies(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, normaliser: Tensor, part: VocabularyPart) -> Tensor:
        mean = torch.empty_like(normaliser)
        for rows, values in _slices(logits, part):
            mean[rows] = ((values - normaliser[rows, None]).exp_() * values).sum(-1)
        if part.group is not None:
            dist.all_reduce(mean, group=part.group)
        ctx.save_for_backward(logits, normaliser, mean)
        ctx.part = part
        return normaliser - mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        logits, normaliser, mean = ctx.saved_tensors
        part, grad = ctx.part, grads[0] * ctx.part.scale
        out = torch.empty_like(logits)
        out[:, part.size :] = 0
        for rows, values in _slices(logits, part):
            softmax = (values - normaliser[rows, None]).exp_()
            out[rows, : part.size] = softmax * (mean[rows, None] - values) * grad[rows, None]
        return out, None, None
