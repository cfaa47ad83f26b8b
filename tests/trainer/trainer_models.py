"""Tiny HF models and shards for tests of the trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from slime_core.batching.shards import MicroBatch, Shard

COMMON: dict[str, Any] = {
    "vocab_size": 131,
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500.0,
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 16, "rope_theta": 5000.0},
    "qwen3_moe": {
        "head_dim": 16,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 96,
        "norm_topk_prob": True,
        "router_aux_loss_coef": 0.0,
    },
}


def make_model(kind: str, folder: Path) -> Path:
    """Write a tiny model whose biases and norms are no zeros and ones; returns its folder."""
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **COMMON, **KINDS[kind])
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    path = folder / kind
    model.save_pretrained(path)
    return path


def make_samples(count: int, seed: int = 7, vocabulary: int = 131) -> list[dict[str, np.ndarray]]:
    """Samples of different lengths with prompts, advantages and made-up server log-probs."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        length = int(rng.integers(5, 40))
        prompt = int(rng.integers(1, 4))
        mask = (np.arange(length) >= prompt).astype(np.float32)
        samples.append(
            {
                "tokens": rng.integers(0, vocabulary, length),
                "loss_mask": mask,
                "rollout_logprobs": (-rng.random(length) * 6 * mask).astype(np.float32),
                "weight_versions": np.where(mask > 0, 0, -1),
                "lengths": np.array([length]),
                "sample_advantages": rng.normal(size=1).astype(np.float32),
                "sample_indices": np.array([index]),
            }
        )
    return samples


def make_shards(
    samples: Sequence[dict[str, np.ndarray]], *, dp: int, per_micro: int, updates: int = 1
) -> list[Shard]:
    """Deal samples out to data-parallel ranks; loss weights are those of token-mean an update."""
    shards: list[Shard] = [Shard([]) for _ in range(dp)]
    for part in np.array_split(np.arange(len(samples)), updates):
        trained = sum(samples[i]["loss_mask"].sum() for i in part)
        micros = -(-len(part[::dp]) // per_micro)  # as many on every rank
        for rank in range(dp):
            chunks = np.array_split(part[rank::dp], micros)
            micro = [micro_batch([samples[i] for i in chunk], trained) for chunk in chunks]
            shards[rank].updates.append(micro)
    return shards


def micro_batch(samples: Sequence[dict[str, np.ndarray]], trained: float) -> MicroBatch:
    """Samples packed end to end, each trained token with the weight of a token-mean."""
    columns = {name: np.concatenate([s[name] for s in samples]) for name in samples[0]}
    columns["loss_weights"] = (columns["loss_mask"] / trained).astype(np.float32)
    return MicroBatch(columns)
