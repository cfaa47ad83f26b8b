"""A Megatron GPT model from an HF ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.transformer import TransformerConfig
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_block import (
    TransformerBlockSubmodules,
    get_num_layers_to_build,
)
from slime_hookspecs import ConfigError
from torch.nn import functional

from slime_core.config.schema import TrainConfig
from slime_core.trainer.attention import TorchAttention, TorchRMSNorm
from slime_core.trainer.layout import experts, head_dim, key_value_heads, padded_vocabulary
from slime_core.trainer.rope import PackedRotary, check_rope, inverse_frequencies
from slime_core.weights.maps import architecture


def transformer_config(
    hf_config: Mapping[str, Any],
    train: TrainConfig,
    dtype: torch.dtype,
    options: Mapping[str, Any],
    on_cpu: bool,
) -> TransformerConfig:
    """Megatron's configuration of this model at this layout; ``options`` win.

    Raises:
        ConfigError: the model or the options ask for what cannot be built.
    """
    check_rope(hf_config)
    arguments = {
        **_architecture(hf_config),
        **_layout(hf_config, train, dtype),
        **_kernels(on_cpu),
        **options,
    }
    if arguments.get("sequence_parallel") and train.tp == 1:
        raise ConfigError("--megatron-sequence-parallel needs --train-tp above 1")
    try:
        return TransformerConfig(**arguments)
    except (AssertionError, ValueError, TypeError) as error:
        raise ConfigError(f"megatron-core refuses the --megatron-* options: {error}") from error


def build_model(config: TransformerConfig, hf_config: Mapping[str, Any]) -> GPTModel:
    """This rank's part of the model, with weights still to be loaded."""
    tp = config.tensor_model_parallel_size
    model = GPTModel(
        config,
        _block_spec(config),
        vocab_size=padded_vocabulary(hf_config, tp),
        max_sequence_length=int(hf_config.get("max_position_embeddings", 4096)),
        pre_process=parallel_state.is_pipeline_first_stage(ignore_virtual=True),
        post_process=parallel_state.is_pipeline_last_stage(ignore_virtual=True),
        share_embeddings_and_output_weights=bool(hf_config.get("tie_word_embeddings", False)),
        position_embedding_type="rope",
    )
    model.rotary_pos_emb = PackedRotary(inverse_frequencies(hf_config, config.kv_channels))
    return model


def _architecture(hf_config: Mapping[str, Any]) -> dict[str, Any]:
    kind = architecture(hf_config)
    arguments: dict[str, Any] = {
        "num_layers": hf_config["num_hidden_layers"],
        "hidden_size": hf_config["hidden_size"],
        "num_attention_heads": hf_config["num_attention_heads"],
        "num_query_groups": key_value_heads(hf_config),
        "kv_channels": head_dim(hf_config),
        "ffn_hidden_size": hf_config["intermediate_size"],
        "normalization": "RMSNorm",
        "layernorm_epsilon": hf_config["rms_norm_eps"],
        "add_bias_linear": False,
        "add_qkv_bias": kind == "Qwen2ForCausalLM",
        "qk_layernorm": kind.startswith("Qwen3"),
        "gated_linear_unit": True,
        "activation_func": functional.silu,
    }
    return arguments | (_experts(hf_config) if kind == "Qwen3MoeForCausalLM" else {})


def _experts(hf_config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "num_moe_experts": experts(hf_config),
        "moe_router_topk": hf_config["num_experts_per_tok"],
        "moe_ffn_hidden_size": hf_config["moe_intermediate_size"],
        # Softmax over the chosen experts equals softmax over all, renormalised over the chosen.
        "moe_router_pre_softmax": not hf_config.get("norm_topk_prob", False),
        "moe_router_load_balancing_type": "none",
        "moe_aux_loss_coeff": 0.0,
        "moe_router_dtype": "fp32",
        "moe_grouped_gemm": False,
    }


def _layout(hf_config: Mapping[str, Any], train: TrainConfig, dtype: torch.dtype) -> dict[str, Any]:
    sparse = experts(hf_config) > 0
    return {
        "tensor_model_parallel_size": train.tp,
        "pipeline_model_parallel_size": train.pp,
        "expert_model_parallel_size": train.ep,
        "expert_tensor_parallel_size": 1 if sparse else None,
        # Megatron trains experts under tensor parallelism with sequence parallelism only.
        "sequence_parallel": sparse and train.tp > 1,
        "params_dtype": dtype,
        "pipeline_dtype": dtype,
        "bf16": dtype == torch.bfloat16,
        "variable_seq_lengths": train.pp > 1,
        "moe_token_dispatcher_type": "alltoall",
        # With this Megatron divides the gradient by nothing but the token count that it is given,
        # and it is given none.
        "calculate_per_token_loss": True,
    }


def _kernels(on_cpu: bool) -> dict[str, Any]:
    return {
        "use_cpu_initialization": on_cpu,
        # Megatron marks which parameters tensor parallelism splits while it initialises them, and
        # counts the unmarked ones once in the norm of the gradient.
        "perform_initialization": True,
        "init_method": _leave,
        "output_layer_init_method": _leave,
        "embedding_init_method": _leave,
        "masked_softmax_fusion": False,
        "bias_activation_fusion": not on_cpu,
        "bias_dropout_fusion": not on_cpu,
        "persist_layer_norm": False,
        "gradient_accumulation_fusion": False,
        "apply_rope_fusion": False,
    }


def _leave(weight: torch.Tensor) -> torch.Tensor:
    """Weights are loaded over whatever is there."""
    return weight


def _block_spec(config: TransformerConfig) -> TransformerBlockSubmodules:
    layer: ModuleSpec = get_gpt_layer_local_spec(
        num_experts=config.num_moe_experts,
        qk_layernorm=config.qk_layernorm,
        normalization="RMSNorm",
        moe_grouped_gemm=False,
    )
    modules, attention = layer.submodules, layer.submodules.self_attention.submodules
    modules.input_layernorm = modules.pre_mlp_layernorm = TorchRMSNorm
    attention.core_attention = TorchAttention
    if config.qk_layernorm:
        attention.q_layernorm = attention.k_layernorm = TorchRMSNorm
    return TransformerBlockSubmodules([layer] * get_num_layers_to_build(config), TorchRMSNorm)
