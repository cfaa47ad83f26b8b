"""A training step: old log-probs where they are needed, then one optimizer update after another."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import torch
from megatron.core import parallel_state
from megatron.core.pipeline_parallel import get_forward_backward_func
from slime_hookspecs import TrainerError
from torch import Tensor

from slime_core.batching.shards import Shard
from slime_core.trainer.batch import DeviceBatch, to_device
from slime_core.trainer.engine import TrainEngine
from slime_core.trainer.flops import utilisation
from slime_core.trainer.loss import Objective, Sums, micro_batch_loss
from slime_core.trainer.lr import LearningRate
from slime_core.trainer.metrics import over_ranks, readable, total
from slime_core.trainer.policy import MegatronPolicy
from slime_core.trainer.process import from_last_stage

LossOf = Callable[[DeviceBatch, MegatronPolicy], tuple[Tensor, Sums]]


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
    metrics = _report(done)
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
        rows = _passes(engine, micros, _logprobs_only, forward_only=True)
    old = [row["logprobs"] for row in rows] or [None] * len(micros)
    return [replace(m, old_logprobs=o) for m, o in zip(micros, old, strict=True)]


def _logprobs_only(micro: DeviceBatch, policy: MegatronPolicy) -> tuple[Tensor, Sums]:
    return policy.logprobs.sum(), {"logprobs": policy.logprobs}


def _update(
    engine: TrainEngine,
    objective: Objective,
    micros: Sequence[DeviceBatch],
    factor: float,
    number: int,
) -> Update:
    engine.model.zero_grad_buffer()
    engine.optimizer.zero_grad()
    rows = _passes(engine, micros, partial(micro_batch_loss, objective=objective))
    for group in engine.optimizer.param_groups:
        group["lr"] = factor * group["max_lr"]
    _, grad_norm, _ = engine.optimizer.step()
    if grad_norm is not None and not math.isfinite(grad_norm):
        raise TrainerError(
            f"update {number}: the norm of the gradient is {grad_norm}, so the weights are lost; "
            "resume from the last checkpoint and look at the loss and the learning rate"
        )
    lr = max(group["lr"] for group in engine.optimizer.param_groups)
    clips = engine.optimizer.config.clip_grad > 0  # else Megatron measures nothing and says 0
    return Update(total(rows), float(grad_norm) if clips else None, lr)


def _passes(
    engine: TrainEngine,
    micros: Sequence[DeviceBatch],
    loss_of: LossOf,
    forward_only: bool = False,
) -> list[Sums]:
    """Forward, and backward, over micro-batches; what ``loss_of`` reports, on the last stage."""
    run = get_forward_backward_func()
    rows: list[Sums] = run(
        forward_step_func=partial(_forward, engine, loss_of),
        data_iterator=iter(micros),
        model=[engine.model],
        num_microbatches=len(micros),
        seq_length=1,  # unused: the lengths vary
        micro_batch_size=1,
        forward_only=forward_only,
    )
    return rows


def _forward(
    engine: TrainEngine, loss_of: LossOf, micros: Iterator[DeviceBatch], model: Any
) -> tuple[Tensor, Callable[[Tensor], Any]]:
    micro = next(micros)
    # Logits stay in the model's type; the log-probs turn slices of them into float32.
    extra = {"fp32_output": False} if engine.config.bf16 else {}
    output = model(
        micro.inputs,
        micro.packed.positions[None],
        None,
        packed_seq_params=micro.packed,
        **extra,
    )
    return output, partial(_loss, engine, loss_of, micro)


def _loss(
    engine: TrainEngine, loss_of: LossOf, micro: DeviceBatch, logits: Tensor
) -> tuple[Tensor, Tensor, Sums]:
    """Megatron's triple; the middle is a token count, by which nothing is divided here."""
    policy = MegatronPolicy(logits[0], micro.columns["tokens"], micro.positions, engine.part)
    loss, sums = loss_of(micro, policy)
    return loss, torch.zeros((), dtype=torch.int, device=engine.device), sums


def _report(done: Sequence[Update]) -> dict[str, float]:
    group = parallel_state.get_data_parallel_group()
    sums = over_ranks(total(update.sums for update in done), group)
    norms = [update.grad_norm for update in done if update.grad_norm is not None]
    if norms:
        sums["grad_norm"] = sum(norms)
    sums = from_last_stage(sums)
    mean_norm = {"train/grad_norm": sums.pop("grad_norm") / len(norms)} if norms else {}
    return readable(sums, len(done)) | mean_norm | {"train/lr": done[-1].lr}
