"""What each trained token counts for, so that the loss is the same at every parallelism."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from slime_core.batching.shards import Column

Aggregation: TypeAlias = Literal["token-mean", "sequence-mean"]


def loss_weights(trained: Column, aggregation: Aggregation) -> Column:
    """Weight of one trained token of each sample of an update, float64 ``[samples]``.

    Args:
        trained: Trained tokens of each sample, ``[samples]``, all above 0.
        aggregation: ``token-mean`` weighs all tokens of the update alike, ``sequence-mean`` all
            samples.

    Returns:
        Weights with ``(trained * weights).sum() == 1``.
    """
    if aggregation == "token-mean":
        return np.full(len(trained), 1.0 / trained.sum(dtype=np.float64))
    return 1.0 / (trained.astype(np.float64) * len(trained))
