"""The ``--megatron-*`` options: every field of three dataclasses of the installed megatron-core."""

from __future__ import annotations

import difflib
import enum
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, final

from slime_hookspecs import ConfigError

_ARCHITECTURE: Final = "it comes from the model's config.json"
_UNSUPPORTED: Final = "it is not supported here"
_DROPOUT: Final = "it is 0, or log-probs of the trainer and the servers could never agree"

#: Fields that the core sets itself, with what to do instead.
OWNED: Final[dict[str, str]] = {
    "tensor_model_parallel_size": "use --train-tp",
    "pipeline_model_parallel_size": "use --train-pp",
    "expert_model_parallel_size": "use --train-ep",
    "params_dtype": "use --train-dtype",
    "pipeline_dtype": "use --train-dtype",
    "autocast_dtype": "use --train-dtype",
    "bf16": "use --train-dtype bfloat16",
    "fp16": "use --train-dtype",
    "min_lr": "use --train-lr-min-ratio",
    "decoupled_min_lr": "use --train-lr-min-ratio",
    "calculate_per_token_loss": "the core weighs each token's loss over the whole update itself",
    "average_in_collective": "the core sums gradients, so that the loss is exact at every layout",
    "gradient_reduce_div_fusion": "the core sums gradients and divides nowhere",
    "moe_aux_loss_coeff": "gradients are summed without Megatron's scaling, which it needs",
    "moe_z_loss_coeff": "gradients are summed without Megatron's scaling, which it needs",
    "variable_seq_lengths": "micro-batches are packed, so their lengths always differ",
    "moe_token_dispatcher_type": "packed micro-batches need alltoall, which is set",
    "hidden_dropout": _DROPOUT,
    "attention_dropout": _DROPOUT,
    "use_cpu_initialization": "the device decides it",
    "perform_initialization": "weights come from the model's folder",
    "attention_backend": "attention is torch's",
    "transformer_impl": "the local modules are used",
    "context_parallel_size": _UNSUPPORTED,
    "hierarchical_context_parallel_sizes": _UNSUPPORTED,
    "virtual_pipeline_model_parallel_size": _UNSUPPORTED,
    "pipeline_model_parallel_layout": _UNSUPPORTED,
    "num_layers_in_first_pipeline_stage": _UNSUPPORTED,
    "num_layers_in_last_pipeline_stage": _UNSUPPORTED,
    "account_for_embedding_in_pipeline_split": _UNSUPPORTED,
    "account_for_loss_in_pipeline_split": _UNSUPPORTED,
    "use_megatron_fsdp": _UNSUPPORTED,
    "use_custom_fsdp": _UNSUPPORTED,
    "moe_grouped_gemm": _UNSUPPORTED,
    "mtp_num_layers": _UNSUPPORTED,
    "enable_autocast": _UNSUPPORTED,
} | dict.fromkeys(
    [
        "num_layers",
        "hidden_size",
        "num_attention_heads",
        "num_query_groups",
        "kv_channels",
        "ffn_hidden_size",
        "normalization",
        "layernorm_epsilon",
        "layernorm_zero_centered_gamma",
        "add_bias_linear",
        "add_qkv_bias",
        "gated_linear_unit",
        "activation_func",
        "qk_layernorm",
        "num_moe_experts",
        "moe_router_topk",
        "moe_ffn_hidden_size",
        "moe_router_pre_softmax",
        "moe_router_score_function",
        "moe_layer_freq",
        "moe_router_load_balancing_type",
        "moe_shared_expert_intermediate_size",
        "rotary_interleaved",
        "window_size",
        "window_attn_skip_freq",
        "no_rope_freq",
        "multi_latent_attention",
        "softmax_scale",
        "softmax_type",
        "mrope_section",
        "attention_output_gate",
    ],
    _ARCHITECTURE,
)


@final
@dataclass(frozen=True, slots=True)
class MegatronOptions:
    """Checked options, ready for each dataclass's constructor.

    Attributes:
        transformer: For ``TransformerConfig``.
        ddp: For ``DistributedDataParallelConfig``.
        optimizer: For ``OptimizerConfig``.
    """

    transformer: dict[str, Any] = field(default_factory=dict)
    ddp: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)


def defaults() -> MegatronOptions:
    """What is set where the user sets nothing and Megatron's own default would be wrong for RL.

    ``adam_beta2`` 0.98 follows a policy that moves quickly. Weight decay is 0: what should hold a
    policy is the distance from where it began, not from zero. Dropout is always 0.
    """
    return MegatronOptions(
        transformer={"hidden_dropout": 0.0, "attention_dropout": 0.0},
        ddp={"grad_reduce_in_fp32": True},
        optimizer={
            "optimizer": "adam",
            "lr": 1e-6,
            "adam_beta1": 0.9,
            "adam_beta2": 0.98,
            "weight_decay": 0.0,
            "clip_grad": 1.0,
        },
    )


def check_megatron(raw: Mapping[str, Any]) -> MegatronOptions:
    """Turn raw ``--megatron-*`` values into constructor arguments; defaults are filled in.

    A name that several dataclasses have goes to all of them.

    Raises:
        ConfigError: a name is unknown or belongs to the core, or a value has the wrong type.
    """
    known, result = _known(), defaults()
    tables = (result.transformer, result.ddp, result.optimizer)
    for key, value in raw.items():
        name = key.replace("-", "_")
        _check_name(name, known)
        for table, hints in zip(tables, known, strict=True):
            if name in hints:
                table[name] = _convert(f"--megatron-{name.replace('_', '-')}", value, hints[name])
    return result


def _known() -> tuple[dict[str, Any], ...]:
    from megatron.core.distributed import DistributedDataParallelConfig
    from megatron.core.optimizer import OptimizerConfig
    from megatron.core.transformer import TransformerConfig

    def hints(cls: type) -> dict[str, Any]:
        types_of = typing.get_type_hints(cls)
        return {f.name: types_of[f.name] for f in fields(cls) if f.init}

    return tuple(
        hints(cls) for cls in (TransformerConfig, DistributedDataParallelConfig, OptimizerConfig)
    )


def _check_name(name: str, known: tuple[dict[str, Any], ...]) -> None:
    flag = f"--megatron-{name.replace('_', '-')}"
    if name in OWNED:
        raise ConfigError(f"{flag} cannot be set: {OWNED[name]}")
    names = {n for hints in known for n in hints}
    if name in names:
        return
    near = difflib.get_close_matches(name, names - OWNED.keys(), 1)
    hint = f"; did you mean --megatron-{near[0].replace('_', '-')}?" if near else ""
    raise ConfigError(f"{flag} is no option of the installed megatron-core{hint}")


def _convert(flag: str, value: Any, hint: Any) -> Any:
    """The value as a field of type ``hint`` takes it."""
    try:
        return _as_type(value, hint)
    except (ValueError, TypeError, KeyError, json.JSONDecodeError):
        raise ConfigError(f"{flag} is {value!r}; it takes {_describe(hint)}") from None


def _as_type(value: Any, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _as_union(value, arguments)
    if origin is typing.Literal:
        return {str(a): a for a in arguments}[str(value)]
    if origin in (list, tuple):
        items = _items(value)
        each = [a for a in arguments if a is not Ellipsis] or [Any]
        return origin(_as_type(v, each[i % len(each)]) for i, v in enumerate(items))
    return _as_scalar(value, hint)


def _as_union(value: Any, arguments: tuple[Any, ...]) -> Any:
    if type(None) in arguments and (value is None or str(value).lower() in ("none", "null")):
        return None
    for argument in arguments:
        if argument is type(None):
            continue
        try:
            return _as_type(value, argument)
        except (ValueError, TypeError, KeyError):
            continue
    raise ValueError(value)


def _as_scalar(value: Any, hint: Any) -> Any:
    if hint is Any or hint is str:
        return str(value) if hint is str else value
    if hint is bool:
        return _as_bool(value)
    if hint in (int, float):
        if isinstance(value, bool) or (hint is int and isinstance(value, float)):
            raise TypeError(value)
        return hint(value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint[str(value)]
    if getattr(hint, "__name__", "") == "dtype":
        return _as_dtype(value)
    raise TypeError(value)


def _as_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
        str(value).lower()
    ]


def _as_dtype(value: Any) -> Any:
    import torch

    dtype = getattr(torch, str(value).removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(value)
    return dtype


def _items(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    text = str(value).strip()
    return list(json.loads(text)) if text.startswith("[") else [v.strip() for v in text.split(",")]


def _describe(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(a) for a in arguments)
    if origin is typing.Literal:
        return "one of " + ", ".join(str(a) for a in arguments)
    if origin in (list, tuple):
        return "a list, written with commas"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return "one of " + ", ".join(hint.__members__)
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    if hint in names:
        return names[hint]
    if hint is type(None):
        return "none"
    return (
        "a torch dtype"
        if getattr(hint, "__name__", "") == "dtype"
        else "no value that can be typed"
    )
