"""Megatron ``torch_dist`` checkpoints: model, optimizer, update count and random states.

A checkpoint appears under its name at once and whole, or not at all. Everything is written by this
process: Megatron's own writer starts helper processes, which a Ray actor must not.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
import torch.distributed as dist
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.dist_checkpointing.mapping import ShardedObject
from slime_hookspecs import TrainerError
from torch.distributed.checkpoint.api import CheckpointException  # a BaseException

from slime_core.trainer.random_state import pack_random_state, restore_random_state
from slime_core.trainer.writer import InProcessWriter, finish

if TYPE_CHECKING:
    from slime_core.trainer.engine import MegatronEngine

#: Optimizer layout in a checkpoint. Of Megatron's three, it is the one that resumes exactly.
SHARDING: Final = "fully_reshardable"


def save_checkpoint(engine: MegatronEngine, path: Path, updates: int) -> None:
    """Write a checkpoint. Collective over all ranks.

    Args:
        engine: What to save.
        path: Folder to make; an older one of this name is replaced.
        updates: Optimizer updates of the run so far.

    Raises:
        TrainerError: it could not be written; an older checkpoint at ``path`` is as it was.
    """
    engine.settle()
    partial = path.with_name(f"{path.name}.tmp")
    _together(path, lambda: _prepare(partial, _needed_bytes(engine)))
    writer = InProcessWriter()
    state = _state(engine, loading=False) | {"updates": updates, "layout": _layout(engine)}
    try:
        request = dist_checkpointing.save(state, str(partial), writer, async_sharded_save=True)
        finish(request)
    except (Exception, CheckpointException) as error:
        _discard(partial)
        raise _failed(path, error) from error
    _together(path, lambda: _commit(partial, path))


def load_checkpoint(engine: MegatronEngine, path: Path) -> int:
    """Continue from a checkpoint; returns the updates before it. Collective over all ranks.

    At another layout than the one that saved it, random states begin anew.

    Raises:
        TrainerError: there is none at ``path``, or it does not fit this model.
    """
    if not (path / "metadata.json").is_file():
        raise TrainerError(f"{path}: no whole Megatron checkpoint there")
    try:
        common = dist_checkpointing.load_common_state_dict(str(path))
        same = common["layout"] == _layout(engine)
        wanted = _state(engine, loading=True, random=same)
        state = dist_checkpointing.load(wanted, str(path))
        engine.module.load_state_dict(state["model"])
        engine.optimizer.load_state_dict(state["optimizer"])
    except (Exception, CheckpointException) as error:
        raise TrainerError(f"{path}: the checkpoint cannot be loaded: {_last(error)}") from error
    if same:
        restore_random_state(state["random"])
    return int(common["updates"])


def _state(engine: MegatronEngine, *, loading: bool, random: bool = True) -> dict[str, Any]:
    group = parallel_state.get_data_parallel_group(with_context_parallel=True)
    distributed = engine.model.ddp_config.use_distributed_optimizer
    if distributed:
        _allocate(engine.optimizer)
    metadata = {
        "distrib_optim_sharding_type": SHARDING if distributed else None,
        "dp_cp_group": group,
    }
    state: dict[str, Any] = {"model": engine.module.sharded_state_dict(metadata=metadata)}
    state["optimizer"] = engine.optimizer.sharded_state_dict(
        state["model"], is_loading=loading, metadata=metadata
    )
    if random:
        state["random"] = _random_object()
    return state


def _allocate(optimizer: Any) -> None:
    """Give Adam its state before its first update: the distributed optimizer reads ``step``."""
    for part in getattr(optimizer, "chained_optimizers", [optimizer]):
        adam = part.optimizer
        if not isinstance(adam, torch.optim.Adam) or adam.state:
            continue
        for parameter in (p for group in adam.param_groups for p in group["params"]):
            adam.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }


def _random_object() -> ShardedObject:
    sizes = (
        parallel_state.get_pipeline_model_parallel_world_size(),
        parallel_state.get_tensor_model_parallel_world_size(),
        parallel_state.get_data_parallel_world_size(),
    )
    place = (
        parallel_state.get_pipeline_model_parallel_rank(),
        parallel_state.get_tensor_model_parallel_rank(),
        parallel_state.get_data_parallel_rank(),
    )
    return ShardedObject("random", pack_random_state(), sizes, place)


def _layout(engine: MegatronEngine) -> dict[str, int]:
    config = engine.config
    return {
        "tp": int(config.tensor_model_parallel_size),
        "pp": int(config.pipeline_model_parallel_size),
        "ep": int(config.expert_model_parallel_size),
        "dp": int(parallel_state.get_data_parallel_world_size()),
    }


def _needed_bytes(engine: MegatronEngine) -> int:
    """About what all ranks will write: parameters, two moments, and float32 copies of bfloat16."""
    each = 12 if engine.config.params_dtype == torch.float32 else 14
    mine: int = sum(p.numel() for p in engine.module.parameters()) * each
    ranks = dist.get_world_size() // parallel_state.get_data_parallel_world_size()
    return int(mine * ranks)


def _prepare(partial: Path, needed: int) -> None:
    _discard(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(partial.parent).free
    if free < needed:
        raise OSError(f"the disk has {free:,} bytes left, and about {needed:,} are needed")
    partial.mkdir()


def _commit(partial: Path, path: Path) -> None:
    for file in partial.iterdir():
        _fsync(file)
    _fsync(partial)
    old = path.with_name(f"{path.name}.old")
    _discard(old)
    if path.exists():
        path.rename(old)
    partial.rename(path)
    _fsync(path.parent)
    _discard(old)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(path: Path) -> None:
    if dist.get_rank() == 0:
        shutil.rmtree(path, ignore_errors=True)


def _together(path: Path, action: Callable[[], None]) -> None:
    """Do something on rank 0; all ranks go on, or all raise."""
    failure: list[Exception | None] = [None]
    if dist.get_rank() == 0:
        try:
            action()
        except Exception as error:
            failure[0] = error
    dist.broadcast_object_list(failure, src=0)
    if failure[0] is not None:
        raise _failed(path, failure[0]) from failure[0]


def _failed(path: Path, error: BaseException) -> TrainerError:
    return TrainerError(
        f"{path}: the checkpoint was not saved: {_last(error)}; an earlier one is untouched"
    )


def _last(error: BaseException) -> str:
    """What went wrong, without the traceback of other ranks that torch puts before it."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
