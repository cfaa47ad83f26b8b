"""Sums over micro-batches and ranks, read from the device once a step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist

from slime_core.trainer.loss import LARGEST, Sums


def total(rows: Iterable[Sums]) -> Sums:
    """The sums, or the largest values, of all micro-batches of this rank."""
    result: Sums = {}
    for row in rows:
        for name, value in row.items():
            if name not in result:
                result[name] = value
            elif name.startswith(LARGEST):
                result[name] = torch.maximum(result[name], value)
            else:
                result[name] = result[name] + value
    return result


def over_ranks(sums: Sums, group: Any) -> dict[str, float]:
    """The sums over the data-parallel ranks, as numbers: the one host sync of a step."""
    if not sums:
        return {}
    names = sorted(sums, key=lambda name: (name.startswith(LARGEST), name))
    values = torch.stack([sums[name].double() for name in names])
    if dist.get_world_size(group) > 1:
        border = sum(not name.startswith(LARGEST) for name in names)
        dist.all_reduce(values[:border], group=group)
        dist.all_reduce(values[border:], dist.ReduceOp.MAX, group=group)
    return dict(zip(names, values.tolist(), strict=True))


def readable(sums: dict[str, float], updates: int) -> dict[str, float]:
    """``train/...`` metrics of a step of ``updates`` updates."""
    if not sums:
        return {}
    trained, sampled = max(1.0, sums["tokens"]), sums["sampled"]
    result = {"train/loss": sums["loss"] / updates, "train/tokens": sums["tokens"]}
    for key, value in sums.items():
        kind, _, name = key.partition(":")
        if kind == "mean":
            result[f"train/{name}"] = value / trained
        elif kind == "rollout" and sampled:
            result[f"train/{name}"] = value / sampled
        elif kind == "max" and sampled:
            result[f"train/{name}"] = value
    return result
