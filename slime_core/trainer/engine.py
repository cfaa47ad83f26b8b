"""Model, gradient buffers and optimizer of one rank, made to sum gradients and divide nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from megatron.core import parallel_state
from megatron.core.distributed import (
    DistributedDataParallel,
    DistributedDataParallelConfig,
    finalize_model_grads,
)
from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer
from megatron.core.transformer import TransformerConfig
from megatron.core.transformer.module import Float16Module
from slime_hookspecs import ConfigError
from torch import Tensor

from slime_core.config.schema import TrainConfig
from slime_core.trainer.backend import Applied, LossOf, Place
from slime_core.trainer.batch import DeviceBatch
from slime_core.trainer.build import build_model, transformer_config
from slime_core.trainer.checkpoint import load_checkpoint, save_checkpoint
from slime_core.trainer.logprobs import VocabularyPart
from slime_core.trainer.loss import Sums
from slime_core.trainer.metrics import over_ranks
from slime_core.trainer.options import MegatronOptions
from slime_core.trainer.passes import run_passes
from slime_core.trainer.process import from_last_stage, leave
from slime_core.weights.gather import iter_hf_tensors
from slime_core.weights.load import load_hf


@final
@dataclass(frozen=True, slots=True)
class MegatronEngine:
    """What a rank trains with: a ``TrainEngine``.

    Attributes:
        module: The bare GPT model, for weights.
        model: The same in Megatron's data-parallel wrapper, for forward and backward passes.
        optimizer: Megatron's optimizer.
        config: Megatron's configuration of the model.
        hf_config: The model's config.json.
        device: Where it is.
        part: This rank's part of the vocabulary.
        place: Where this rank stands.
    """

    module: Any
    model: Any
    optimizer: Any
    config: TransformerConfig
    hf_config: Mapping[str, Any]
    device: torch.device
    part: VocabularyPart
    place: Place

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters."""
        dtype: torch.dtype = self.config.params_dtype
        return dtype

    @property
    def parameters(self) -> int:
        """Parameters on this rank."""
        return sum(p.numel() for p in self.module.parameters())

    @property
    def multiple(self) -> int:
        """What the tokens of a micro-batch are padded to a multiple of."""
        config = self.config
        return config.tensor_model_parallel_size if config.sequence_parallel else 1

    def settle(self) -> None:
        """Wait until the parameters are whole, where gathering them overlaps with the next step."""
        if self.model.ddp_config.overlap_param_gather:
            self.model.start_param_sync(force_sync=True)

    def passes(
        self, micros: Sequence[DeviceBatch], loss_of: LossOf, *, forward_only: bool = False
    ) -> list[Sums]:
        """Forward, and backward, over micro-batches; empty but on the last stage."""
        return run_passes(self, micros, loss_of, forward_only)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self.model.zero_grad_buffer()
        self.optimizer.zero_grad()

    def step(self, factor: float) -> Applied:
        """One update; Megatron measures the gradient only where it clips."""
        for group in self.optimizer.param_groups:
            group["lr"] = factor * group["max_lr"]
        _, grad_norm, _ = self.optimizer.step()
        lr = max(group["lr"] for group in self.optimizer.param_groups)
        clips = self.optimizer.config.clip_grad > 0  # else Megatron measures nothing and says 0
        return Applied(float(grad_norm) if clips else None, lr)

    def over_ranks(self, sums: Sums) -> dict[str, float]:
        """Over data-parallel ranks of the last stage, and told to the other stages."""
        group = parallel_state.get_data_parallel_group()
        found: dict[str, float] = from_last_stage(over_ranks(sums, group))
        return found

    def hf_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Whole HF tensors on rank 0; every rank must read to the end."""
        self.settle()
        tensors: Iterator[tuple[str, Tensor]] = iter_hf_tensors(
            [self.module], self.config, self.hf_config
        )
        return tensors

    def save(self, path: Path, updates: int) -> None:
        """As ``checkpoint.save_checkpoint``."""
        save_checkpoint(self, path, updates)

    def load(self, path: Path) -> int:
        """As ``checkpoint.load_checkpoint``."""
        return load_checkpoint(self, path)

    def close(self) -> None:
        """Leave the process groups."""
        leave()


def make_engine(
    hf_config: Mapping[str, Any],
    model_dir: Path,
    train: TrainConfig,
    options: MegatronOptions,
    *,
    device: torch.device,
    dtype: torch.dtype,
    temperature: float,
    place: Place | None = None,
) -> MegatronEngine:
    """Build, load and wrap the model. Collective over all ranks."""
    on_cpu = device.type == "cpu"
    config = transformer_config(hf_config, train, dtype, options.transformer, on_cpu)
    module = build_model(config, hf_config)
    if not on_cpu:
        module = module.to(device)
    load_hf([module], config, hf_config, model_dir)
    bare = Float16Module(config, module) if config.bf16 else module
    model = DistributedDataParallel(config, _ddp_config(options), bare)
    optimizer = _make_optimizer(model, config, options)
    _connect(config, model, optimizer)
    part = _vocabulary_part(hf_config, module, train.tp, temperature)
    return MegatronEngine(
        module, model, optimizer, config, hf_config, device, part, place or Place(0, 1)
    )


def _ddp_config(options: MegatronOptions) -> DistributedDataParallelConfig:
    try:
        return DistributedDataParallelConfig(**options.ddp)
    except (AssertionError, ValueError) as error:
        raise ConfigError(f"megatron-core refuses the --megatron-* options: {error}") from error


def _make_optimizer(model: Any, config: TransformerConfig, options: MegatronOptions) -> Any:
    try:
        optimizer_config = OptimizerConfig(
            bf16=config.bf16, params_dtype=config.params_dtype, **options.optimizer
        )
    except (AssertionError, ValueError) as error:
        raise ConfigError(f"megatron-core refuses the --megatron-* options: {error}") from error
    optimizer = get_megatron_optimizer(optimizer_config, [model])
    for group in optimizer.param_groups:
        # Norms and biases do not decay. Megatron leaves that to its scheduler, unused here.
        group["weight_decay"] *= group["wd_mult"]
        # One kernel for all parameters. It cannot be asked for through OptimizerConfig.
        if "fused" in group:
            group["fused"] = True
    return optimizer


def _connect(config: TransformerConfig, model: Any, optimizer: Any) -> None:
    ddp = model.ddp_config
    config.grad_scale_func = optimizer.scale_loss
    config.finalize_model_grads_func = _finalize
    if ddp.overlap_grad_reduce:
        config.no_sync_func = model.no_sync
        config.grad_sync_func = model.start_grad_sync
    if ddp.overlap_param_gather:
        config.param_sync_func = model.start_param_sync


def _finalize(model: list[Any], num_tokens: Any = None, **kwargs: Any) -> None:
    """Megatron's own, without the division by the token count."""
    finalize_model_grads(model, None, **kwargs)


def _vocabulary_part(
    hf_config: Mapping[str, Any], module: Any, tp: int, temperature: float
) -> VocabularyPart:
    rows = module.vocab_size // tp
    start = parallel_state.get_tensor_model_parallel_rank() * rows
    size = max(0, min(rows, int(hf_config["vocab_size"]) - start))
    group = parallel_state.get_tensor_model_parallel_group() if tp > 1 else None
    return VocabularyPart(start, size, 1.0 / temperature, group)
