"""Real Megatron models on gloo: an HF folder that is loaded and gathered is the same folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from slime_core.weights import hf, maps

pytestmark = pytest.mark.engines
WORKER = Path(__file__).with_name("megatron_worker.py")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def through_megatron(world: int, job: dict[str, Any]) -> list[str]:
    """Run a job on ``world`` processes and return the order of the names that rank 0 saw."""
    env = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    env |= {"WORLD_SIZE": str(world), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(WORKER), json.dumps(job)]
    ranks = [
        subprocess.Popen(command, env=env | {"RANK": str(r)}, stderr=subprocess.PIPE, text=True)
        for r in range(world)
    ]
    try:
        errors = [p.communicate(timeout=200)[1] for p in ranks]
    finally:
        for p in ranks:
            p.kill()
    assert [p.returncode for p in ranks] == [0] * world, "\n".join(errors)[-3000:]
    return list(json.loads(Path(f"{job['out']}.json").read_text()))


def all_tensors(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found.update(load_file(path))
    return found


CASES = {
    "llama tp2": ("llama", 2, {"tp": 2}),
    "llama tp2 with a padded vocabulary": ("llama", 2, {"tp": 2, "vocab_multiple": 256}),
    "qwen2 tied pp2": ("qwen2", 2, {"pp": 2}),
    "qwen3 tied dp2": ("qwen3", 2, {}),
    "qwen3 tied tp2 pp2, rounds of 20 kB": (
        "qwen3",
        4,
        {"tp": 2, "pp": 2, "round_bytes": 20_000},
    ),
    "llama pp2 vpp2": ("llama4", 2, {"pp": 2, "vpp": 2}),
    "qwen3 tied tp2 in bfloat16, wrapped for data parallelism": (
        "qwen3",
        2,
        {"tp": 2, "dtype": "bfloat16", "wrap": True},
    ),
    "moe ep2": ("qwen3_moe", 2, {"ep": 2}),
    "moe tp2 ep1": ("qwen3_moe", 2, {"tp": 2}),
    "moe ep2 pp2": ("qwen3_moe", 4, {"ep": 2, "pp": 2}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_folder_survives_loading_and_gathering_bit_by_bit(
    case: str, tiny_model: Any, tmp_path: Path
) -> None:
    kind, world, changes = CASES[case]
    layers = {"num_hidden_layers": 4} if kind == "llama4" else {}
    folder = tiny_model(kind.removesuffix("4"), **layers)
    out = tmp_path / "out"
    job = {"tp": 1, "pp": 1, "ep": 1, "model_dir": str(folder), "out": str(out)} | changes
    names = through_megatron(world, job)
    before, after = all_tensors(folder), all_tensors(out)
    assert names == list(maps.weight_map(hf.read_config(folder)).hf_names())
    assert after.keys() == before.keys()
    dtype = getattr(torch, changes.get("dtype", "float32"))
    assert [n for n in before if not torch.equal(before[n].to(dtype), after[n])] == []


@pytest.mark.parametrize("kind", ["qwen3", "qwen3_moe"])
def test_a_saved_folder_loads_in_transformers_with_the_same_logits(
    kind: str, tiny_model: Any, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, out = tiny_model(kind), tmp_path / "out"
    through_megatron(1, {"tp": 1, "pp": 1, "ep": 1, "model_dir": str(folder), "out": str(out)})
    tokens = torch.arange(10, 30)[None]
    logits = []
    for path in (folder, out):
        model, info = AutoModelForCausalLM.from_pretrained(
            path, dtype="auto", output_loading_info=True
        )
        assert not info["missing_keys"]
        assert not info["unexpected_keys"]
        assert model.dtype == torch.float32
        logits.append(model(tokens).logits)
    assert torch.equal(*logits)
    assert AutoTokenizer.from_pretrained(out).chat_template
