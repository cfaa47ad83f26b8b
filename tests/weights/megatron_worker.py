"""One rank of a Megatron model that loads an HF folder and gives it back; run as a script.

Usage: ``megatron_worker.py JOB`` with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set. JOB is
JSON: model_dir, out, tp, pp, ep, and perhaps vpp, vocab_multiple, round_bytes, dtype, wrap. Rank 0
writes ``out`` (an HF folder) and ``out.json``, the order of names.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main(job: dict[str, Any]) -> None:
    """Load, gather, save."""
    import torch
    import torch.distributed as dist

    from slime_core.trainer.cpu import install

    install()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    from megatron.core import parallel_state as ps

    from slime_core.weights import gather, hf
    from slime_core.weights.load import load_hf

    ps.initialize_model_parallel(
        tensor_model_parallel_size=job["tp"],
        pipeline_model_parallel_size=job["pp"],
        expert_model_parallel_size=job["ep"],
        virtual_pipeline_model_parallel_size=job.get("vpp"),
    )
    model_dir, out = Path(job["model_dir"]), Path(job["out"])
    config = hf.read_config(model_dir)
    tf_config, chunks = build(config, job)
    if job.get("wrap"):
        chunks = [wrapped(tf_config, chunk) for chunk in chunks]
    for chunk in chunks:
        for parameter in chunk.parameters():
            parameter.data.fill_(float("nan"))
    load_hf(chunks, tf_config, config, model_dir)
    tensors = gather.iter_hf_tensors(
        chunks, tf_config, config, job.get("round_bytes") or gather.ROUND_BYTES
    )
    if dist.get_rank() == 0:
        names: list[str] = []
        hf.save_hf(out, noted(tensors, names), model_dir)
        Path(f"{out}.json").write_text(json.dumps(names))
    else:
        assert list(tensors) == []
    dist.barrier()
    dist.destroy_process_group()


def noted(tensors: Any, names: list[str]) -> Any:
    """The same tensors; their names are kept."""
    for name, tensor in tensors:
        names.append(name)
        yield name, tensor


def wrapped(tf_config: Any, chunk: Any) -> Any:
    """The model as the trainer holds it."""
    from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig

    from slime_core.trainer.cpu import install

    install()
    return DistributedDataParallel(tf_config, DistributedDataParallelConfig(), chunk)


def build(config: dict[str, Any], job: dict[str, Any]) -> tuple[Any, list[Any]]:
    """This rank's part of the model, with the local spec."""
    import torch
    from megatron.core import parallel_state as ps
    from megatron.core.models.gpt import GPTModel
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
    from megatron.core.tensor_parallel.random import model_parallel_cuda_manual_seed
    from megatron.core.transformer import TransformerConfig

    from slime_core.trainer.cpu import install

    install()
    model_parallel_cuda_manual_seed(1)
    experts = config.get("num_experts")
    fields: dict[str, Any] = {}
    if experts:
        fields = {
            "num_moe_experts": experts,
            "moe_router_topk": config["num_experts_per_tok"],
            "moe_ffn_hidden_size": config["moe_intermediate_size"],
            "moe_router_load_balancing_type": "none",
            "sequence_parallel": False,
        }
    qk_norm = config["model_type"].startswith("qwen3")
    dtype = getattr(torch, job.get("dtype", "float32"))
    tf_config = TransformerConfig(
        num_layers=config["num_hidden_layers"],
        hidden_size=config["hidden_size"],
        num_attention_heads=config["num_attention_heads"],
        num_query_groups=config["num_key_value_heads"],
        kv_channels=config.get("head_dim")
        or config["hidden_size"] // config["num_attention_heads"],
        ffn_hidden_size=config["intermediate_size"],
        normalization="RMSNorm",
        add_bias_linear=False,
        add_qkv_bias=config["model_type"] == "qwen2",
        qk_layernorm=qk_norm,
        gated_linear_unit=True,
        activation_func=torch.nn.functional.silu,
        tensor_model_parallel_size=job["tp"],
        pipeline_model_parallel_size=job["pp"],
        virtual_pipeline_model_parallel_size=job.get("vpp"),
        expert_model_parallel_size=job["ep"],
        params_dtype=dtype,
        pipeline_dtype=dtype,
        use_cpu_initialization=True,
        masked_softmax_fusion=False,
        persist_layer_norm=False,
        gradient_accumulation_fusion=False,
        bias_activation_fusion=False,
        bias_dropout_fusion=False,
        moe_token_dispatcher_type="alltoall",
        **fields,
    )
    spec = get_gpt_layer_local_spec(
        num_experts=experts, qk_layernorm=qk_norm, normalization="RMSNorm"
    )
    multiple = job.get("vocab_multiple", 1)
    chunks = []
    for stage in range(job.get("vpp") or 1):
        vp = {"vp_stage": stage} if job.get("vpp") else {}
        chunks.append(
            GPTModel(
                tf_config,
                spec,
                -(-config["vocab_size"] // multiple) * multiple,
                max_sequence_length=64,
                pre_process=ps.is_pipeline_first_stage(ignore_virtual=False, **vp),
                post_process=ps.is_pipeline_last_stage(ignore_virtual=False, **vp),
                share_embeddings_and_output_weights=config["tie_word_embeddings"],
                position_embedding_type="rope",
                **vp,
            )
        )
    return tf_config, chunks


if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    main(json.loads(sys.argv[1]))
