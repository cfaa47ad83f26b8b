"""Forward and backward passes over micro-batches through Megatron's pipeline schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from megatron.core.pipeline_parallel import get_forward_backward_func
from torch import Tensor

from slime_core.trainer.backend import LossOf
from slime_core.trainer.batch import DeviceBatch
from slime_core.trainer.loss import Sums
from slime_core.trainer.policy import PackedPolicy

if TYPE_CHECKING:
    from slime_core.trainer.engine import MegatronEngine


def run_passes(
    engine: MegatronEngine,
    micros: Sequence[DeviceBatch],
    loss_of: LossOf,
    forward_only: bool,
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
    engine: MegatronEngine, loss_of: LossOf, micros: Iterator[DeviceBatch], model: Any
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
    engine: MegatronEngine, loss_of: LossOf, micro: DeviceBatch, logits: Tensor
) -> tuple[Tensor, Tensor, Sums]:
    """Megatron's triple; the middle is a token count, by which nothing is divided here."""
    policy = PackedPolicy(logits[0], micro.columns["tokens"], micro.positions, engine.part)
    loss, sums = loss_of(micro, policy)
    return loss, torch.zeros((), dtype=torch.int, device=engine.device), sums
