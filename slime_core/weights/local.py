"""This rank's parameters, under names that count layers and experts over the whole model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from megatron.core import parallel_state as ps
from torch import Tensor, nn

from slime_core.weights.maps import Rule, WeightMap

_LAYER: Final = re.compile(r"decoder\.layers\.(\d+)\.")
_EXPERT: Final = re.compile(r"local_experts\.(\d+)\.")


@final
@dataclass(frozen=True, slots=True)
class LocalParameter:
    """One parameter of this rank.

    Attributes:
        name: Megatron name with global layer and expert numbers.
        parameter: The parameter itself.
        rule: What it is made of.
        tp: Parts that the whole parameter is split into; 1 where it is replicated.
        tp_rank: Which part this one is.
    """

    name: str
    parameter: Tensor
    rule: Rule
    tp: int
    tp_rank: int


def unwrap(chunk: nn.Module) -> Any:
    """The GPTModel inside data-parallel and precision wrappers."""
    while not hasattr(chunk, "decoder") and hasattr(chunk, "module"):
        chunk = chunk.module
    return chunk


def local_parameters(
    chunks: Sequence[nn.Module], weights: WeightMap, tf_config: Any
) -> Iterator[LocalParameter]:
    """All parameters of this rank's virtual stages.

    Args:
        chunks: GPTModels of this rank, wrapped or not, one a virtual pipeline stage.
        weights: The architecture's map.
        tf_config: The model's TransformerConfig.
    """
    first_expert = _first_expert(tf_config)
    for chunk in chunks:
        model = unwrap(chunk)
        first_layer = _first_layer(model)
        for name, parameter in model.named_parameters():
            whole = _shift(_LAYER, name, first_layer)
            whole = _shift(_EXPERT, whole, first_expert)
            rule = weights.rule(whole)
            tp, rank = _tp(rule)
            yield LocalParameter(whole, parameter, rule, tp, rank)


def _first_layer(model: Any) -> int:
    layers = model.decoder.layers
    return int(layers[0].layer_number) - 1 if len(layers) else 0


def _first_expert(tf_config: Any) -> int:
    experts = int(tf_config.num_moe_experts or 0)
    size = ps.get_expert_model_parallel_world_size() or 1
    return int(ps.get_expert_model_parallel_rank() or 0) * (experts // size)


def _shift(pattern: re.Pattern[str], name: str, by: int) -> str:
    """The name with the number that the pattern finds counted on by ``by``."""
    match = pattern.search(name)
    if match is None or by == 0:
        return name
    return f"{name[: match.start(1)]}{int(match[1]) + by}{name[match.end(1) :]}"


def _tp(rule: Rule) -> tuple[int, int]:
    if rule.tp_dim is None:
        return 1, 0
    if rule.expert:
        return ps.get_expert_tensor_parallel_world_size(), ps.get_expert_tensor_parallel_rank()
    return ps.get_tensor_model_parallel_world_size(), ps.get_tensor_model_parallel_rank()
