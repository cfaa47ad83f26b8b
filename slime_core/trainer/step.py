"""A training step: old log-probs where they are needed, then one optimizer update after another."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import torch
from slime_hookspecs import TrainerError
from torch import Tensor

from slime_core.batching.shards import Shard
from slime_core.trainer.backend import TrainEngine
from slime_core.trainer.batch import DeviceBatch, to_device
from slime_core.trainer.flops import utilisation
from slime_core.trainer.loss import Objective, Sums, micro_batch_loss
from slime_core.trainer.lr import LearningRate
from slime_core.trainer.metrics import readable, total
from slime_core.trainer.policy import PackedPolicy


@final
@dataclass(frozen=True, slots=True)
class Update:
    """What one optimizer update did.

    Attributes:
        sums: Sums over this rank's micro-batches; empty but on the last pipeline stage.
        grad_norm: Norm of the whole model's gradient before clipping; ``None`` where nothing clips.
        lr: Learning rate.
    """

    sums: Sums
    grad_norm: float | None
    lr: float


def train_step(
    engine: TrainEngine,
    objective: Objective,
    rate: LearningRate,
    shard: Shard,
    first_update: int,
) -> dict[str, float]:
    """Train on a shard and report. Collective over all ranks; every rank returns the same metrics.

    Args:
        engine: Model and optimizer.
        objective: The plugins' hooks for this step.
        rate: The learning-rate schedule.
        shard: This data-parallel rank's part of the step.
        first_update: Updates of the run before this step.

    Raises:
        TrainerError: the gradient is not finite.
    """
    begin = time.perf_counter()
    updates = [_load(engine, update) for update in shard.updates]
    loaded = time.perf_counter()
    if len(updates) > 1 and _samples_anything(shard):
        updates = [_with_old_logprobs(engine, micros) for micros in updates]
    prepared = time.perf_counter()
    done = [
        _update(engine, objective, micros, rate.factor(first_update + i), first_update + i)
        for i, micros in enumerate(updates)
    ]
    metrics = _report(engine, done)
    seconds = time.perf_counter() - begin
    lengths = [n for micros in updates for micro in micros for n in _lengths(micro)]
    return metrics | {
        **utilisation(engine, lengths, seconds),
        "train/load_s": loaded - begin,
        "train/old_logprobs_s": prepared - loaded,
        "train/update_s": seconds - (prepared - begin),
    }


def _samples_anything(shard: Shard) -> bool:
    """Whether a policy wrote any token; demonstrations have no old log-probs to compare with."""
    micros = (micro for update in shard.updates for micro in update)
    return any((micro.columns["weight_versions"] >= 0).any() for micro in micros)


def _load(engine: TrainEngine, micros: Sequence[Any]) -> list[DeviceBatch]:
    return [to_device(micro.columns, engine.device, engine.multiple) for micro in micros]


def _lengths(micro: DeviceBatch) -> list[int]:
    lengths: list[int] = micro.columns["lengths"].tolist()
    return lengths


def _with_old_logprobs(engine: TrainEngine, micros: Sequence[DeviceBatch]) -> list[DeviceBatch]:
    """The micro-batches with the policy's log-probs of now, on the last pipeline stage."""
    with torch.no_grad():
        rows = engine.passes(micros, _logprobs_only, forward_only=True)
    old = [row["logprobs"] for row in rows] or [None] * len(micros)
    return [replace(m, old_logprobs=o) for m, o in zip(micros, old, strict=True)]


def _logprobs_only(micro: DeviceBatch, policy: PackedPolicy) -> tuple[Tensor, Sums]:
    return policy.logprobs.sum(), {"logprobs": policy.logprobs}


def _update(
    engine: TrainEngine,
    objective: Objective,
    micros: Sequence[DeviceBatch],
    factor: float,
    number: int,
) -> Update:
    engine.zero_grad()
    rows = engine.passes(micros, partial(micro_batch_loss, objective=objective))
    applied = engine.step(factor)
    if applied.grad_norm is not None and not math.isfinite(applied.grad_norm):
        raise TrainerError(
            f"update {number}: the norm of the gradient is {applied.grad_norm}, so the weights are "
            "lost; resume from the last checkpoint and look at the loss and the learning rate"
        )
    return Update(total(rows), applied.grad_norm, applied.lr)


def _report(engine: TrainEngine, done: Sequence[Update]) -> dict[str, float]:
    sums = engine.over_ranks(total(update.sums for update in done))
    norms = [update.grad_norm for update in done if update.grad_norm is not None]
    mean_norm = {"train/grad_norm": sum(norms) / len(norms)} if norms else {}
    return readable(sums, len(done)) | mean_norm | {"train/lr": done[-1].lr}
