"""Throughput, and how much of the device's peak it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch

from slime_core.trainer.backend import TrainEngine
from slime_core.trainer.layout import experts

#: Dense bfloat16 peak of a device by a part of its name, in FLOP/s.
PEAK: Final = {"H100": 989e12, "H200": 989e12, "H800": 989e12, "A100": 312e12, "L40S": 362e12}


def utilisation(engine: TrainEngine, lengths: Sequence[int], seconds: float) -> dict[str, float]:
    """``train/tokens_per_s`` through all data-parallel ranks, and ``train/mfu`` on known GPUs.

    Args:
        engine: Gives model and device.
        lengths: Tokens of each sample of this data-parallel rank.
        seconds: What the step took.
    """
    place = engine.place
    result = {"train/tokens_per_s": place.dp * sum(lengths) / seconds}
    peak = peak_flops(engine.device)
    if peak is not None:
        ranks = place.world // place.dp
        result["train/mfu"] = step_flops(engine.hf_config, lengths) / seconds / (peak * ranks)
    return result


def peak_flops(device: torch.device) -> float | None:
    """The device's peak, or ``None`` where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK.items() if part in name), None)


def step_flops(hf_config: Any, lengths: Sequence[int]) -> float:
    """Operations of forward and backward over these samples; causal attention counted once.

    6 a weight and token for the matrix products; for attention, 6 x heads x head_dim a layer and
    pair of positions.
    """
    layers = hf_config["num_hidden_layers"]
    heads, groups = hf_config["num_attention_heads"], hf_config.get("num_key_value_heads")
    hidden = hf_config["hidden_size"]
    dim = hf_config.get("head_dim") or hidden // heads
    attention = hidden * dim * (2 * heads + 2 * (groups or heads))
    wide = hf_config["intermediate_size"]
    if experts(hf_config):
        wide = hf_config["moe_intermediate_size"] * hf_config["num_experts_per_tok"]
    weights = layers * (attention + 3 * hidden * wide) + hidden * hf_config["vocab_size"]
    pairs = sum(n * n for n in lengths)
    return float(6 * weights * sum(lengths) + 6 * layers * heads * dim * pairs)
