"""From the samples of a step to one shard for each data-parallel rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from slime_hookspecs import BatchField, Sample

from slime_core.batching.columns import Flat, flatten
from slime_core.batching.pack import Piece, arrange
from slime_core.batching.shards import Column, MicroBatch, Shard
from slime_core.batching.weights import Aggregation, loss_weights


def build_shards(
    samples: Sequence[Sample],
    *,
    dp: int,
    updates: int,
    micro_batch_tokens: int,
    aggregation: Aggregation,
    fields: Sequence[BatchField] = (),
    owners: Mapping[str, str] | None = None,
    oldest_version: int = 0,
) -> list[Shard]:
    """Divide samples over optimizer updates, ranks and micro-batches; the same way each time.

    Samples are taken in the order of their index. One without a trained token teaches nothing and
    is left out. There are fewer updates than asked for where there are fewer samples.

    Args:
        samples: Scored, without error, advantage set.
        dp: Data-parallel ranks.
        updates: Optimizer updates, as even as possible in samples.
        micro_batch_tokens: Most tokens in a micro-batch; a longer sample gets one of its own.
        aggregation: ``token-mean`` or ``sequence-mean``.
        fields: The plugins' own columns.
        owners: Which plugin declared each of them, for messages.
        oldest_version: Tokens that older weights sampled are not trained on.

    Returns:
        One shard a rank. ``loss_weights`` of an update add up to 1 over all ranks.

    Raises:
        PluginError: a batch field is missing, or has a wrong shape or type.
    """
    ordered = sorted(samples, key=lambda sample: sample.index)
    flat = flatten(ordered, fields, owners or {}, oldest_version)
    teaching = np.flatnonzero(flat.trained)
    parts = [
        part for part in np.array_split(teaching, min(updates, len(teaching)) or 1) if len(part)
    ]
    weighted = _weighted(flat, parts, aggregation)
    shards = [Shard([]) for _ in range(dp)]
    for part in parts:
        pieces = arrange(flat.lengths, part, dp, micro_batch_tokens)
        for shard, own in zip(shards, pieces, strict=True):
            shard.updates.append([_micro_batch(weighted, piece) for piece in own])
    return shards


def _weighted(flat: Flat, parts: Sequence[Column], aggregation: Aggregation) -> Flat:
    """The same columns, with the loss weights that each update gives its samples."""
    weight = np.zeros(len(flat.lengths))
    for part in parts:
        weight[part] = loss_weights(flat.trained[part], aggregation)
    per_token = flat.tokens["loss_mask"] * np.repeat(weight, flat.lengths)
    return replace(flat, tokens={**flat.tokens, "loss_weights": per_token.astype(np.float32)})


def _micro_batch(flat: Flat, piece: Piece) -> MicroBatch:
    slices = [slice(flat.starts[i], flat.starts[i] + flat.lengths[i]) for i in piece.samples]
    columns = {
        name: np.concatenate([column[s] for s in slices]) for name, column in flat.tokens.items()
    }
    rows = np.array(piece.samples)
    columns |= {name: column[rows] for name, column in flat.samples.items()}
    if piece.is_copy:
        columns["loss_weights"] = np.zeros_like(columns["loss_weights"])
        columns["loss_mask"] = np.zeros_like(columns["loss_mask"])
    return MicroBatch(columns)
