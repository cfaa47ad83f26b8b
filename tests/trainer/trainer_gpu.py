"""The trainer on one GPU without Ray or installed plugins, as a script: ``trainer_gpu.py``.

Small float32 and bfloat16 models against each other and against a checkpoint of themselves, then a
Qwen3-0.6B shape for speed. Prints JSON lines.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

TINY: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "vocab_size": 1000,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "hidden_act": "silu",
}
SMALL = TINY | {
    "vocab_size": 151936,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
}


def main() -> None:
    """Join a group of one, then run the parts."""
    from slime_core.config.schema import TrainConfig
    from slime_core.trainer import cpu
    from slime_core.trainer.process import join, pick_device, seed_all

    assert not cpu.install()
    pick_device(0)
    join(0, 1, "127.0.0.1:29555", TrainConfig(), False)
    seed_all(0)
    with tempfile.TemporaryDirectory() as folder:
        agreement(Path(folder))
        speed(Path(folder))


def write_model(folder: Path, config: dict[str, Any]) -> None:
    """Random weights in bfloat16."""
    from safetensors.torch import save_file

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    h, d, f = config["hidden_size"], config["head_dim"], config["intermediate_size"]
    q, kv = config["num_attention_heads"] * d, config["num_key_value_heads"] * d
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], h), "model.norm.weight": (h,)}
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}."
        shapes |= {
            f"{at}self_attn.q_proj.weight": (q, h),
            f"{at}self_attn.k_proj.weight": (kv, h),
            f"{at}self_attn.v_proj.weight": (kv, h),
            f"{at}self_attn.o_proj.weight": (h, q),
            f"{at}self_attn.q_norm.weight": (d,),
            f"{at}self_attn.k_norm.weight": (d,),
            f"{at}mlp.gate_proj.weight": (f, h),
            f"{at}mlp.up_proj.weight": (f, h),
            f"{at}mlp.down_proj.weight": (h, f),
            f"{at}input_layernorm.weight": (h,),
            f"{at}post_attention_layernorm.weight": (h,),
        }
    state = {
        name: (torch.ones(shape) if len(shape) == 1 else torch.randn(shape) * 0.03).bfloat16()
        for name, shape in shapes.items()
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def make(folder: Path, config: dict[str, Any], dtype: torch.dtype, **megatron: Any) -> Any:
    """An engine on the GPU."""
    from slime_core.config.schema import TrainConfig
    from slime_core.trainer.engine import make_engine
    from slime_core.trainer.options import check_megatron

    return make_engine(
        config,
        folder,
        TrainConfig(),
        check_megatron({"lr": 1e-4, **megatron}),
        device=torch.device("cuda", 0),
        dtype=dtype,
        temperature=1.0,
    )


def objective() -> Any:
    """The built-in broadcast and policy loss."""
    from slime_core.builtin import broadcast, policy_loss
    from slime_core.trainer.loss import Hook, Objective

    ctx: Any = SimpleNamespace(options=policy_loss.Options())
    spread = SimpleNamespace(
        plugin="broadcast", call=lambda batch, ctx: broadcast.slime_token_advantage(batch)
    )
    loss = SimpleNamespace(plugin="policy_loss", call=policy_loss.slime_loss)
    return Objective(Hook(spread, ctx), Hook(loss, ctx), False)


def train(engine: Any, shard: Any, update: int) -> dict[str, float]:
    """One step."""
    from slime_core.trainer.lr import LearningRate
    from slime_core.trainer.step import train_step

    return train_step(engine, objective(), LearningRate("constant", 0, 9, 0.0), shard, update)


def agreement(folder: Path) -> None:
    """bfloat16 near float32, and a checkpoint that resumes exactly."""
    from trainer_models import make_samples, make_shards

    from slime_core.trainer.checkpoint import load_checkpoint, save_checkpoint

    write_model(folder / "tiny", TINY)
    shard = make_shards(make_samples(12, vocabulary=1000), dp=1, per_micro=5)[0]
    for dtype in (torch.float32, torch.bfloat16):
        for options in ({}, {"use_distributed_optimizer": True}):
            engine = make(folder / "tiny", TINY, dtype, **options)
            first = train(engine, shard, 0)
            path = folder / f"ck-{dtype}-{len(options)}"
            save_checkpoint(engine, path, 1)
            second = train(engine, shard, 1)
            again = [make(folder / "tiny", TINY, dtype, **options)]
            load_checkpoint(again[0], path)
            resumed = train(again[0], shard, 1)
            say(
                part=f"{dtype} {options}",
                loss=first["train/loss"],
                norm=first["train/grad_norm"],
                resumed=resumed["train/grad_norm"] - second["train/grad_norm"],
                second=second["train/grad_norm"],
            )


def speed(folder: Path) -> None:
    """Two micro-batches of 8 x 1,024 tokens of the 0.6B shape."""
    from trainer_models import micro_batch

    from slime_core.batching.shards import Shard

    write_model(folder / "small", SMALL)
    engine = make(folder / "small", SMALL, torch.bfloat16)
    micros = [micro_batch([sample(1024) for _ in range(8)], 16000.0) for _ in range(2)]
    shard = Shard([micros])
    for update in range(6):
        begin = time.perf_counter()
        metrics = train(engine, shard, update)
        torch.cuda.synchronize()
        say(
            seconds=time.perf_counter() - begin,
            tokens_per_s=metrics["train/tokens_per_s"],
            mfu=metrics.get("train/mfu"),
            peak_gib=torch.cuda.max_memory_allocated() / 2**30,
        )


def sample(length: int) -> dict[str, Any]:
    """A sample of this many tokens."""
    return {
        "tokens": np.random.randint(0, 1000, length),
        "loss_mask": np.ones(length, np.float32),
        "rollout_logprobs": np.full(length, -7.0, np.float32),
        "weight_versions": np.zeros(length, np.int64),
        "lengths": np.array([length]),
        "sample_advantages": np.ones(1, np.float32),
        "sample_indices": np.array([0]),
    }


def say(**values: Any) -> None:
    """One line of JSON."""
    print("RESULT", json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
