"""What ``slime_loss`` sees of the model: log-probs and entropy of one micro-batch's tokens."""

from __future__ import annotations

from functools import cached_property
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from slime_core.trainer.logprobs import (
    VocabularyPart,
    entropies,
    log_normaliser,
    token_logprobs,
)


@final
class PackedPolicy:
    """The model on one micro-batch, from its logits.

    Args:
        logits: ``[tokens or more, vocabulary/TP]``; rows beyond the tokens are padding.
        tokens: int64 ``[tokens]``, samples packed end to end.
        positions: Position of each token in its sample, int64 ``[tokens]``.
        part: Where this rank's logits lie in the vocabulary.
    """

    def __init__(
        self, logits: Tensor, tokens: Tensor, positions: Tensor, part: VocabularyPart
    ) -> None:
        self._logits = logits[: tokens.shape[0]]
        self._next = torch.roll(tokens, -1)
        self._first = positions == 0
        self._part = part

    @cached_property
    def _normaliser(self) -> Tensor:
        return log_normaliser(self._logits.detach(), self._part)

    @cached_property
    def logprobs(self) -> Tensor:
        """Log-prob of each token given those before it in its sample; 0 for first tokens."""
        values = token_logprobs(self._logits, self._next, self._normaliser, self._part)
        return self._shift(values)

    @cached_property
    def entropy(self) -> Tensor:
        """Entropy in nats of what each token was drawn from; 0 for first tokens."""
        return self._shift(entropies(self._logits, self._normaliser, self._part))

    def entropy_known(self) -> bool:
        """Whether the loss has read the entropy."""
        return "entropy" in self.__dict__

    def _shift(self, values: Tensor) -> Tensor:
        """From "said by row i" to "said of token i"."""
        return functional.pad(values[:-1], (1, 0)).masked_fill(self._first, 0.0)
