"""Tensor arithmetic between one rank's Megatron parameter and the HF tensors it holds.

Pure functions. ``tp`` is the size of the split that applies to the parameter and ``rank`` the place
in it; both directions are exact to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from slime_hookspecs.errors import ConfigError
from torch import Tensor

from slime_core.weights.maps import Rule


def merge_qkv(q: Tensor, k: Tensor, v: Tensor, groups: int) -> Tensor:
    """Query, key and value rows, interleaved: each group's queries, its key, its value."""
    parts = [t.reshape(groups, -1, *t.shape[1:]) for t in (q, k, v)]
    return torch.cat(parts, 1).reshape(-1, *q.shape[1:])


def split_qkv(merged: Tensor, groups: int, queries: int) -> tuple[Tensor, Tensor, Tensor]:
    """The inverse of ``merge_qkv``; ``queries`` is how many query heads share a key-value head."""
    w = merged.reshape(groups, queries + 2, -1, *merged.shape[1:])
    q, k, v = w[:, :queries], w[:, queries:-1], w[:, -1:]
    q, k, v = (t.reshape(-1, *merged.shape[1:]) for t in (q, k, v))
    return q, k, v


def pad_rows(tensor: Tensor, rows: int) -> Tensor:
    """The tensor with zero rows added at the end, so that it has ``rows`` of them."""
    missing = rows - tensor.shape[0]
    return torch.cat([tensor, tensor.new_zeros(missing, *tensor.shape[1:])]) if missing else tensor


def span(size: int, tp: int, rank: int, what: str) -> tuple[int, int]:
    """First and last-plus-one index of a rank's even part of a dimension.

    Raises:
        ConfigError: The dimension does not divide.
    """
    if size % tp:
        raise ConfigError(f"{what}: {size} does not divide into {tp} tensor-parallel parts")
    part = size // tp
    return rank * part, (rank + 1) * part


def merge(rule: Rule, parts: Sequence[Tensor], groups: int) -> Tensor:
    """One rank's Megatron parameter from its parts of the HF tensors.

    Args:
        rule: What the parameter is made of.
        parts: This rank's slice of each HF tensor in ``rule.hf_names``.
        groups: Key-value heads of this rank.
    """
    if rule.kind == "qkv":
        q, k, v = parts
        return merge_qkv(q, k, v, groups)
    return torch.cat(list(parts)) if rule.kind == "gate_up" else parts[0]


def split(rule: Rule, parameter: Tensor, groups: int, queries: int) -> tuple[Tensor, ...]:
    """One rank's parts of the HF tensors from its Megatron parameter: the inverse of ``merge``."""
    if rule.kind == "qkv":
        return split_qkv(parameter, groups, queries)
    return parameter.chunk(2) if rule.kind == "gate_up" else (parameter,)


def to_hf(
    rule: Rule, shards: Sequence[Tensor], groups: int, queries: int, vocab_size: int
) -> tuple[Tensor, ...]:
    """The whole HF tensors from the Megatron parameters of all ranks of a split, in rank order."""
    if rule.kind == "qkv":
        groups = groups // len(shards)
    per_rank = [split(rule, shard, groups, queries) for shard in shards]
    if rule.tp_dim is None or len(shards) == 1:
        whole = list(per_rank[0])
    else:
        whole = [torch.cat(parts, rule.tp_dim) for parts in zip(*per_rank, strict=True)]
    return tuple((t[:vocab_size] if rule.vocab else t).contiguous() for t in whole)


def to_megatron(
    rule: Rule, tensors: Sequence[Tensor], groups: int, tp: int, rank: int, vocab_rows: int = 0
) -> Tensor:
    """One rank's Megatron parameter from the whole HF tensors.

    Args:
        rule: What the parameter is made of.
        tensors: The whole HF tensors.
        groups: Key-value heads of the whole model.
        tp: Parts that the parameter is split into.
        rank: Which part.
        vocab_rows: Rows of the whole padded embedding; 0 is unpadded.
    """
    if rule.vocab and vocab_rows:
        tensors = [pad_rows(t, vocab_rows) for t in tensors]
    if rule.tp_dim is None:
        return merge(rule, tensors, groups)
    if rule.kind == "qkv":
        span(groups, tp, rank, "key-value heads")
    parts = []
    for name, tensor in zip(rule.hf_names, tensors, strict=True):
        first, last = span(tensor.shape[rule.tp_dim], tp, rank, name)
        parts.append(tensor.narrow(rule.tp_dim, first, last - first))
    return merge(rule, parts, groups // tp if rule.kind == "qkv" else groups)
