"""Whether a model can be divided as asked: pure arithmetic, without torch, before the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from slime_hookspecs import ConfigError

from slime_core.config.schema import TrainConfig
from slime_core.weights.maps import architecture

#: Fields of config.json that must have this value where they are present.
_ONLY: Final[dict[str, Any]] = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "use_sliding_window": False,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}


def head_dim(hf_config: Mapping[str, Any]) -> int:
    """Channels of one attention head."""
    heads = hf_config["num_attention_heads"]
    return int(hf_config.get("head_dim") or hf_config["hidden_size"] // heads)


def key_value_heads(hf_config: Mapping[str, Any]) -> int:
    """Heads of keys and values."""
    return int(hf_config.get("num_key_value_heads") or hf_config["num_attention_heads"])


def experts(hf_config: Mapping[str, Any]) -> int:
    """Experts a layer, 0 in a dense model. Transformers 5 writes ``num_local_experts``."""
    return int(hf_config.get("num_experts") or hf_config.get("num_local_experts") or 0)


def padded_vocabulary(hf_config: Mapping[str, Any], tp: int) -> int:
    """Rows of the embedding: the vocabulary, rounded up to a multiple of ``tp``."""
    return -(-int(hf_config["vocab_size"]) // tp) * tp


def check_layout(hf_config: Mapping[str, Any], train: TrainConfig) -> None:
    """Refuse a division of the model that Megatron cannot make.

    Raises:
        ConfigError: names the option, its value and the number that it does not divide.
    """
    kind = architecture(hf_config)
    _check_fields(hf_config)
    for name in ("tp", "pp", "dp", "ep"):
        if getattr(train, name) < 1:
            raise ConfigError(f"--train-{name} is {getattr(train, name)}; it must be 1 or more")
    _divides(hf_config["num_attention_heads"], "attention heads", "tp", train.tp)
    _divides(key_value_heads(hf_config), "key-value heads", "tp", train.tp)
    _divides(hf_config["num_hidden_layers"], "layers", "pp", train.pp)
    if kind == "Qwen3MoeForCausalLM":
        _check_experts(hf_config, train)
        return
    _divides(hf_config["intermediate_size"], "intermediate channels", "tp", train.tp)
    if train.ep != 1:
        raise ConfigError(f"--train-ep is {train.ep}, but {kind} has no experts; leave it at 1")


def _check_fields(hf_config: Mapping[str, Any]) -> None:
    for name, value in _ONLY.items():
        found = hf_config.get(name)
        if found is not None and found != value:
            raise ConfigError(
                f"config.json of the model: {name} is {found!r}; the trainer takes only {value!r}"
            )


def _check_experts(hf_config: Mapping[str, Any], train: TrainConfig) -> None:
    _divides(experts(hf_config), "experts", "ep", train.ep)
    if (train.dp * train.tp) % train.ep:
        raise ConfigError(
            f"--train-ep is {train.ep}, which does not divide dp x tp = {train.dp} x {train.tp} "
            f"= {train.dp * train.tp}"
        )


def _divides(count: int, what: str, option: str, size: int) -> None:
    if count % size:
        raise ConfigError(
            f"--train-{option} is {size}, which does not divide the model's {count} {what}; "
            f"possible are {', '.join(str(n) for n in range(1, count + 1) if count % n == 0)}"
        )
