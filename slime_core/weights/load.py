"""Fill a Megatron model from an HF folder; each rank reads only what it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from slime_hookspecs.errors import ConfigError
from torch import Tensor, nn

from slime_core.weights import layout
from slime_core.weights.local import LocalParameter, local_parameters
from slime_core.weights.maps import WeightMap, weight_map
from slime_core.weights.reader import TensorReader


@torch.no_grad()
def load_hf(
    chunks: Sequence[nn.Module], tf_config: Any, hf_config: Mapping[str, Any], model_dir: Path
) -> None:
    """Copy an HF folder's weights into this rank's parameters.

    Args:
        chunks: GPTModels of this rank, one a virtual pipeline stage.
        tf_config: Their TransformerConfig.
        hf_config: The folder's config.json.
        model_dir: The folder.

    Raises:
        ConfigError: The folder lacks a tensor, or one has another shape than the model's.
    """
    weights = weight_map(hf_config)
    with TensorReader(model_dir) as reader:
        for item in local_parameters(chunks, weights, tf_config):
            _copy(item, _read(item, reader, weights), model_dir)


def _copy(item: LocalParameter, found: Tensor, model_dir: Path) -> None:
    if found.shape != item.parameter.shape:
        names = ", ".join(item.rule.hf_names)
        raise ConfigError(
            f"{model_dir}: {names} give {item.name} the shape {list(found.shape)}, but the model "
            f"has {list(item.parameter.shape)}; do config.json and the weights belong together?"
        )
    item.parameter.copy_(found)


def _read(item: LocalParameter, reader: TensorReader, weights: WeightMap) -> Tensor:
    rule = item.rule
    if rule.vocab:
        return _read_vocab(item, reader)
    if rule.tp_dim is None:
        return layout.merge(rule, [reader.read(n) for n in rule.hf_names], weights.groups)
    if rule.kind == "qkv":
        layout.span(weights.groups, item.tp, item.tp_rank, "key-value heads")
    parts = []
    for name in rule.hf_names:
        size = reader.shape(name)[rule.tp_dim]
        first, last = layout.span(size, item.tp, item.tp_rank, name)
        parts.append(reader.read(name, rule.tp_dim, first, last))
    return layout.merge(rule, parts, weights.groups // item.tp)


def _read_vocab(item: LocalParameter, reader: TensorReader) -> Tensor:
    """This rank's vocabulary rows; those past the end of the vocabulary are zero."""
    (name,) = item.rule.hf_names
    rows, known = item.parameter.shape[0], reader.shape(name)[0]
    if rows * item.tp < known:
        raise ConfigError(f"{name} has {known} rows, but the model has {rows * item.tp}")
    first = min(item.tp_rank * rows, known)
    part = reader.read(name, 0, first, min(first + rows, known))
    return layout.pad_rows(part, rows)
