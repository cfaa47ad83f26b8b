"""Rotary position embedding from an HF configuration, for packed samples.

Formulas: RoFormer (Su et al. 2021, https://arxiv.org/abs/2104.09864); the ``llama3`` scaling is
that of transformers' ``modeling_rope_utils``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, final

import torch
from slime_hookspecs import ConfigError
from torch import Tensor

from slime_core.trainer.packing import Packed

SUPPORTED: Final = ("default", "linear", "llama3")


def rope_parameters(hf_config: Mapping[str, Any]) -> dict[str, Any]:
    """Theta, type and scaling, from transformers 5's ``rope_parameters`` or the older fields."""
    scaling = hf_config.get("rope_parameters") or hf_config.get("rope_scaling") or {}
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    theta = scaling.get("rope_theta") or hf_config.get("rope_theta") or 10000.0
    return {**scaling, "rope_type": kind, "rope_theta": float(theta)}


def check_rope(hf_config: Mapping[str, Any]) -> None:
    """Refuse scalings that are not built here.

    Raises:
        ConfigError: names the scaling and the supported ones.
    """
    parameters = rope_parameters(hf_config)
    if parameters["rope_type"] not in SUPPORTED:
        raise ConfigError(
            f"config.json of the model: rope_type {parameters['rope_type']!r} is not supported; "
            f"the trainer knows {', '.join(SUPPORTED)}"
        )
    if parameters.get("partial_rotary_factor", hf_config.get("partial_rotary_factor", 1.0)) != 1.0:
        raise ConfigError(
            "config.json of the model: partial_rotary_factor other than 1 is not supported"
        )


def inverse_frequencies(hf_config: Mapping[str, Any], head_dim: int) -> Tensor:
    """Radians a position for each pair of channels, float32 ``[head_dim / 2]``."""
    parameters = rope_parameters(hf_config)
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    frequencies: Tensor = 1.0 / (parameters["rope_theta"] ** exponents)
    if parameters["rope_type"] == "linear":
        return frequencies / parameters["factor"]
    if parameters["rope_type"] == "llama3":
        return _llama3(frequencies, parameters)
    return frequencies


def _llama3(frequencies: Tensor, parameters: Mapping[str, Any]) -> Tensor:
    factor, low = parameters["factor"], parameters["low_freq_factor"]
    high, context = parameters["high_freq_factor"], parameters["original_max_position_embeddings"]
    wavelengths = 2 * math.pi / frequencies
    smooth = (context / wavelengths - low) / (high - low)
    between = (1 - smooth) * frequencies / factor + smooth * frequencies
    scaled = torch.where(wavelengths > context / low, frequencies / factor, frequencies)
    medium = (wavelengths <= context / low) & (wavelengths >= context / high)
    return torch.where(medium, between, scaled)


@final
class PackedRotary(torch.nn.Module):
    """Takes the place of Megatron's ``RotaryEmbedding``: positions restart with each sample.

    Megatron asks it for the length to embed and hands the answer back: here that is the packing.
    """

    def __init__(self, frequencies: Tensor) -> None:
        super().__init__()
        # Neither a buffer nor a parameter: a model in bfloat16 must not round it.
        self.frequencies = frequencies

    def get_rotary_seq_len(
        self, context: Any, decoder: Any, hidden: Any, config: Any, packed: Packed, **_: Any
    ) -> Packed:
        """The packing itself."""
        return packed

    def forward(self, packed: Packed, **_: Any) -> Tensor:
        """Angles, float32 ``[tokens, 1, 1, head_dim]``."""
        if self.frequencies.device != packed.positions.device:
            self.frequencies = self.frequencies.to(packed.positions.device)
        angles = torch.outer(packed.positions.float(), self.frequencies)
        return torch.cat((angles, angles), -1)[:, None, None, :]
