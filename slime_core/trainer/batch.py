"""A micro-batch on the device: the columns that a plugin sees, and the model's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional

from slime_core.trainer.packing import Packed, pack


@final
@dataclass(frozen=True, slots=True)
class DeviceBatch:
    """One micro-batch.

    Attributes:
        columns: What ``slime_hookspecs.Batch`` lists, without old log-probs and advantages.
        inputs: Token ids for the model, int64 ``[1, tokens + padding]``.
        packed: Where the samples, and the padding as one more, lie in ``inputs``.
        old_logprobs: float32 ``[tokens]``; ``None`` where the current ones are the old ones.
    """

    columns: dict[str, Tensor]
    inputs: Tensor
    packed: Packed
    old_logprobs: Tensor | None = None

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return int(self.columns["tokens"].shape[0])

    @property
    def positions(self) -> Tensor:
        """Position of each token in its sample, int64 ``[tokens]``."""
        return self.packed.positions[: self.tokens]


def to_device(columns: Mapping[str, Any], device: torch.device, multiple: int) -> DeviceBatch:
    """Copy numpy columns to the device.

    Args:
        columns: ``MicroBatch.columns``.
        device: Where the model is.
        multiple: The model's input is padded to a multiple of this, for sequence parallelism.
    """
    # torch.tensor copies: arrays from Ray's object store are read-only.
    tensors = {name: torch.tensor(column).to(device) for name, column in columns.items()}
    lengths: list[int] = columns["lengths"].tolist()
    samples = torch.arange(len(lengths), device=device)
    total = sum(lengths)
    tensors["sample_index"] = samples.repeat_interleave(tensors["lengths"], output_size=total)
    padding = -total % multiple
    inputs = functional.pad(tensors["tokens"], (0, padding))[None]
    packed = pack([*lengths, padding] if padding else lengths, device)
    return DeviceBatch(tensors, inputs, packed)
