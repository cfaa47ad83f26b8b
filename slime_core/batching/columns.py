"""All samples of a step as flat arrays, end to end."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import numpy as np
from slime_hookspecs import BatchField, Sample, Segment
from slime_hookspecs.trace import NO_VERSION, TRAINED_KINDS

from slime_core.batching.fields import field_columns
from slime_core.batching.shards import Column


@final
@dataclass(frozen=True, slots=True)
class Flat:
    """Columns of many samples.

    Attributes:
        lengths: Tokens of each sample, int64 ``[samples]``.
        starts: Where each sample begins, int64 ``[samples]``.
        trained: Trained tokens of each sample, int64 ``[samples]``.
        tokens: Per-token columns, ``[tokens, ...]``.
        samples: Per-sample columns, ``[samples, ...]``.
    """

    lengths: Column
    starts: Column
    trained: Column
    tokens: dict[str, Column]
    samples: dict[str, Column]


def flatten(
    samples: Sequence[Sample],
    fields: Sequence[BatchField],
    owners: Mapping[str, str],
    oldest_version: int = 0,
) -> Flat:
    """Columns of ``samples`` in their order. The first token of each has mask 0.

    Nothing comes before it that its log-prob could be conditioned on, so it cannot be trained on.
    Neither are tokens that weights older than ``oldest_version`` sampled.
    """
    lengths = np.array([len(sample.trace) for sample in samples], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    tokens = _token_columns(
        [s for sample in samples for s in sample.trace.segments], oldest_version
    )
    tokens["loss_mask"][starts[lengths > 0]] = 0.0
    per_token, per_sample = field_columns(samples, lengths, fields, owners)
    return Flat(
        lengths=lengths,
        starts=starts,
        trained=_sum_per_sample(tokens["loss_mask"], lengths),
        tokens=tokens | per_token,
        samples=_sample_columns(samples, lengths) | per_sample,
    )


def _token_columns(segments: Sequence[Segment], oldest_version: int) -> dict[str, Column]:
    sizes = np.array([len(s.tokens) for s in segments], dtype=np.int64)
    sampled = np.repeat(np.array([s.kind == "sampled" for s in segments], dtype=bool), sizes)
    masks = np.array([s.kind in TRAINED_KINDS for s in segments], dtype=np.float32)
    versions = np.array([s.weight_version for s in segments], dtype=np.int64)
    masks[(versions != NO_VERSION) & (versions < oldest_version)] = 0.0
    logprobs = np.zeros(int(sizes.sum()), dtype=np.float32)
    logprobs[sampled] = _chained("d", (s.logprobs for s in segments))
    return {
        "tokens": _chained("q", (s.tokens for s in segments)),
        "loss_mask": np.repeat(masks, sizes),
        "rollout_logprobs": logprobs,
        "weight_versions": np.repeat(versions, sizes),
    }


@lru_cache(maxsize=8192)
def _layout(count: int, code: str) -> struct.Struct:
    return struct.Struct(f"={count}{code}")


def _chained(code: str, rows: Iterable[Sequence[Any]]) -> Column:
    # struct.pack is the quickest way from tuples of numbers to memory: 3 times np.array's speed.
    packed = b"".join([_layout(len(row), code).pack(*row) for row in rows])
    return np.frombuffer(packed, dtype=np.dtype(code))


def _sample_columns(samples: Sequence[Sample], lengths: Column) -> dict[str, Column]:
    advantages = [0.0 if s.advantage is None else s.advantage for s in samples]
    return {
        "lengths": lengths,
        "sample_advantages": np.array(advantages, dtype=np.float32),
        "sample_indices": np.array([s.index for s in samples], dtype=np.int64),
    }


def _sum_per_sample(column: Column, lengths: Column) -> Column:
    """Sums ``[samples]`` of a 0/1 column ``[tokens]``; 0 for a sample without tokens."""
    ends = np.concatenate(([0], np.cumsum(column, dtype=np.float64)))
    stops = np.cumsum(lengths)
    sums: Column = (ends[stops] - ends[stops - lengths]).astype(np.int64)
    return sums
