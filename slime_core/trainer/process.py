"""One rank's process: device, process groups, seeds."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.tensor_parallel.random import model_parallel_cuda_manual_seed
from slime_hookspecs import TrainerError

from slime_core.config.schema import TrainConfig
from slime_core.trainer.backend import Place


def pick_device(rank: int) -> torch.device:
    """This rank's GPU, or the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def pick_dtype(train: TrainConfig, device: torch.device) -> torch.dtype:
    """The parameters' type; ``auto`` is float32 on a CPU and bfloat16 on a GPU."""
    if train.dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return torch.bfloat16 if train.dtype == "bfloat16" else torch.float32


def join(rank: int, world: int, master: str, train: TrainConfig, sparse: bool) -> Place:
    """Meet the other ranks at ``master`` ("address:port") and make Megatron's groups.

    Raises:
        TrainerError: the ranks did not meet.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, init_method=f"tcp://{master}", rank=rank, world_size=world)
    except (RuntimeError, ValueError) as error:
        raise TrainerError(
            f"trainer rank {rank} did not meet the others at {master}: {error}"
        ) from error
    parallel_state.initialize_model_parallel(
        tensor_model_parallel_size=train.tp,
        pipeline_model_parallel_size=train.pp,
        expert_model_parallel_size=train.ep,
        expert_tensor_parallel_size=1 if sparse else None,
    )
    return Place(
        rank,
        world,
        parallel_state.get_data_parallel_world_size(),
        parallel_state.get_tensor_model_parallel_rank(),
        parallel_state.get_data_parallel_rank(),
        parallel_state.get_pipeline_model_parallel_rank(),
        parallel_state.is_pipeline_last_stage(ignore_virtual=True),
    )


def leave() -> None:
    """Give up all groups."""
    parallel_state.destroy_model_parallel()
    if dist.is_initialized():
        dist.destroy_process_group()


def seed_all(seed: int) -> None:
    """Seed every random generator; Megatron adds its own offset for tensor-parallel ranks."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    model_parallel_cuda_manual_seed(seed)


def from_last_stage(value: Any) -> Any:
    """The last pipeline stage's value, on all stages. Collective over the pipeline."""
    if parallel_state.get_pipeline_model_parallel_world_size() == 1:
        return value
    held = [value]
    last = parallel_state.get_pipeline_model_parallel_last_rank()
    group = parallel_state.get_pipeline_model_parallel_group()
    dist.broadcast_object_list(held, src=last, group=group)
    return held[0]
