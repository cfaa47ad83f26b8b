"""The seam between a training step and what computes it.

Megatron is one backend. Another comes as a plugin: its ``slime_trainer`` answers with a
``TrainerBackend``. Losses, advantages, metrics, weight updates and the loop are the same for all.
Nothing here imports torch, so that the driver can ask a backend whether it takes a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, final

from slime_core.config.schema import Config

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from slime_core.trainer.batch import DeviceBatch
    from slime_core.trainer.loss import Sums
    from slime_core.trainer.policy import PackedPolicy

    LossOf: TypeAlias = Callable[[DeviceBatch, PackedPolicy], tuple[Tensor, Sums]]
else:
    LossOf: TypeAlias = Callable[..., Any]


@final
@dataclass(frozen=True, slots=True)
class Place:
    """Where a rank stands among the others.

    Attributes:
        rank: Global rank.
        world: Ranks in all.
        dp: Data-parallel ranks: those that train on shards of their own.
        tp_rank: Rank in the tensor-parallel group.
        dp_rank: Rank in the data-parallel group: which ``Shard`` this rank trains on.
        pp_rank: Pipeline stage.
        last_stage: Whether this rank has logits.
    """

    rank: int
    world: int
    dp: int = 1
    tp_rank: int = 0
    dp_rank: int = 0
    pp_rank: int = 0
    last_stage: bool = True


@final
@dataclass(frozen=True, slots=True)
class Start:
    """What a backend needs to build a rank's engine.

    Attributes:
        config: The whole run's configuration.
        model: HF folder to begin with.
        seed: Of everything random.
        temperature: What logits are divided by.
        rank: Global rank.
        world: Ranks in all.
        master: Where ranks meet, ``address:port``.
    """

    config: Config
    model: Path
    seed: int
    temperature: float
    rank: int
    world: int
    master: str


class TrainerBackend(Protocol):
    """What ``slime_trainer`` returns."""

    def check(self, config: Config, hf_config: Mapping[str, Any]) -> None:
        """Refuse a run that cannot be trained; called in the driver, before anything starts.

        Raises:
            ConfigError: with the option, what was found, and what would be right.
        """

    def build(self, start: Start) -> TrainEngine:
        """Meet the other ranks, build the model and load its weights. Collective over all ranks.

        Raises:
            ConfigError: the model or an option cannot be had.
            TrainerError: the ranks did not meet.
        """
        ...


class TrainEngine(Protocol):
    """Model and optimizer of one rank. All methods are collective over all ranks."""

    @property
    def place(self) -> Place:
        """Where this rank stands."""
        ...

    @property
    def hf_config(self) -> Mapping[str, Any]:
        """The model's config.json."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """What forward and backward passes compute in."""
        ...

    @property
    def parameters(self) -> int:
        """Parameters on this rank."""
        ...

    @property
    def multiple(self) -> int:
        """What the tokens of a micro-batch are padded to a multiple of."""
        ...

    def passes(
        self, micros: Sequence[DeviceBatch], loss_of: LossOf, *, forward_only: bool = False
    ) -> list[Sums]:
        """Forward, and backward unless told otherwise, over micro-batches.

        Gradients are added up, over micro-batches and data-parallel ranks, and divided by nothing.

        Returns:
            What ``loss_of`` reports of each micro-batch; empty on ranks without logits.
        """
        ...

    def zero_grad(self) -> None:
        """Forget all gradients."""

    def step(self, factor: float) -> Applied:
        """One optimizer update at ``factor`` times the full learning rate."""
        ...

    def over_ranks(self, sums: Sums) -> dict[str, float]:
        """Sums, or largest values, over the data-parallel ranks; the same on every rank."""
        ...

    def hf_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Whole tensors under HF names, on rank 0 at least; every rank reads to the end."""
        ...

    def save(self, path: Path, updates: int) -> None:
        """Write a checkpoint to a new folder, whole or not at all.

        Raises:
            TrainerError: it could not be written; an older one at ``path`` is untouched.
        """

    def load(self, path: Path) -> int:
        """Continue from a checkpoint; returns the updates before it.

        Raises:
            TrainerError: there is none at ``path``, or it does not fit.
        """
        ...

    def close(self) -> None:
        """Leave the process groups."""


@final
@dataclass(frozen=True, slots=True)
class Applied:
    """What an optimizer update did.

    Attributes:
        grad_norm: Norm of the whole model's gradient before clipping; ``None`` if not measured.
        lr: Learning rate.
    """

    grad_norm: float | None
    lr: float
