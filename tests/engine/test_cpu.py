"""What a CPU needs is put in place by itself, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from slime_core.engine import cpu
from slime_core.engine.cpu import defaults, launch_server, plugin, seeded, standins
from slime_core.engine.cpu.murmur import murmur_hash32


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.strip()


def test_absent_packages_are_stood_in_for_and_installed_ones_win() -> None:
    code = """
from slime_core.engine import cpu
cpu.install(); cpu.install()
import importlib.util, sys
asked = importlib.util.find_spec("triton")
import triton, triton.language as tl, torchvision.transforms, sgl_kernel.flash_attn
class Kernel(triton.Config, note=1): pass
@triton.jit
def one(): return 1
@triton.autotune(configs=[])
def two(): return 2
print(one(), two(), triton.cdiv(5, 2), triton.next_power_of_2(5), bool(tl.constexpr), sep=",")
print(asked, importlib.util.find_spec("json") is not None)
print(sum(type(f).__name__ == "Finder" and "standins" in type(f).__module__ for f in sys.meta_path))
"""
    assert python(code).splitlines() == ["1,2,3,8,False", "None True", "1"]


def test_a_real_package_always_wins(tmp_path: Path) -> None:
    (tmp_path / "triton.py").write_text("__version__ = 'real'")
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
from slime_core.engine import cpu; cpu.install()
import triton; print(triton.__version__)
"""
    assert python(code) == "real"


def test_nothing_happens_where_there_is_an_accelerator() -> None:
    code = """
import sys, torch
torch.cuda.is_available = lambda: True
from slime_core.engine import cpu
from slime_core.engine.cpu import plugin
before = torch.Tensor.cuda, torch.cuda.synchronize
cpu.install(); plugin.register()
assert before == (torch.Tensor.cuda, torch.cuda.synchronize)
print(any("standins" in type(f).__module__ for f in sys.meta_path), "sglang" in sys.modules)
"""
    assert python(code) == "False False"


def test_sglang_finds_the_plugin_and_imports_in_this_process() -> None:
    code = """
import transformers  # also where it came first
config = transformers.Qwen3Config(num_hidden_layers=1, vocab_size=9)
transformers.AutoModelForCausalLM.from_config(config)
from slime_core.engine.serializer import serializers
import torch
kept, bucket = serializers()
from sglang.srt.plugins import load_plugins
load_plugins()
from sglang.srt.utils.weight_checker import WeightChecker
from sglang.srt.layers import sampler
print(kept.deserialize(kept.serialize(torch.ones(2))).tolist(), bucket.__name__)
class Checker:
    def _model_state(self):
        yield "w", weight
weight, checker = torch.nn.Parameter(torch.zeros(1)), Checker()
WeightChecker._snapshot(checker)
weight.data += 1
print(checker._snapshot_tensors["w"].item())
seed = torch.tensor([1], dtype=torch.uint64)
print(sampler.murmur_hash32(seed, torch.tensor([2]), torch.arange(2)).tolist())
"""
    assert python(code).splitlines()[-3:] == [
        "[1.0, 1.0] FlattenedTensorBucket",
        "0.0",
        str([[scalar_murmur(1, 2, 0), scalar_murmur(1, 2, 1)]]),
    ]


def test_a_snapshot_does_not_follow_the_live_weights() -> None:
    class Checker:
        weight = torch.nn.Parameter(torch.zeros(3))

        def _model_state(self) -> Any:
            yield "w", self.weight

    checker: Any = Checker()
    plugin.snapshot(checker)
    checker.weight.data += 1
    assert checker._snapshot_tensors["w"].tolist() == [0.0, 0.0, 0.0]


def test_the_cpus_options_never_override_the_users(tiny_model_dir: Path) -> None:
    given = ["--model-path", str(tiny_model_dir), "--dtype=bfloat16", "--max-total-tokens", "99"]
    completed = defaults.complete(given)
    assert completed[: len(given)] == given
    assert not {"--dtype", "--max-total-tokens"} & set(completed[len(given) :][1:-1])
    assert "--sleep-on-idle" in completed
    assert completed[completed.index("--device") + 1] == "cpu"
    assert completed.count("--max-total-tokens") == 1


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ({"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}, 65_536),
        ({"num_hidden_layers": 30, "num_key_value_heads": 3, "head_dim": 64}, 11_650),
        ({"num_hidden_layers": 30, "head_dim": 64, "max_position_embeddings": 99_999}, 99_999),
        ({}, 65_536),
    ],
)
def test_the_cache_has_room_for_a_context_within_its_bytes(
    config: dict[str, int], tokens: int
) -> None:
    assert defaults.cache_tokens(config) == tokens


def test_each_tensor_parallel_rank_gets_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults.os, "sched_getaffinity", lambda pid: {3, 5})
    assert defaults.cores(2) == "3|5"
    assert defaults.cores(3) == "3|5|3"
    for name in (*defaults.ENVIRONMENT, "SGLANG_CPU_OMP_THREADS_BIND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    defaults.set_environment(["--tp-size", "2"])
    assert defaults.os.environ["SGLANG_CPU_OMP_THREADS_BIND"] == "3|5"
    assert defaults.os.environ["OMP_NUM_THREADS"] == "7"
    assert defaults.os.environ[cpu.CPU_ENGINE] == "1"


def test_options_are_read_in_both_spellings() -> None:
    line = ["--tp-size=2", "--model", "a", "--model-path", "b", "--tp-size"]
    assert defaults.option(line, "--model", "--model-path") == "b"
    assert defaults.option(line[:1], "--tp-size") == "2"
    assert defaults.option(line, "--tp-size") is None
    assert defaults.option(line, "--port") is None


def test_speculative_decoding_is_refused_on_a_cpu() -> None:
    with pytest.raises(SystemExit, match="--speculative-algorithm needs a GPU"):
        defaults.refuse(["--speculative-algorithm", "EAGLE"])
    defaults.refuse(["--model", "a"])


def scalar_murmur(seed: int, position: int, column: int) -> int:
    """SGLang's kernel, one number at a time."""
    word, h = 0xFFFFFFFF, 0
    for k in (seed & word, seed >> 32, position, column):
        k = k * 0xCC9E2D51 & word
        k = (k << 15 | k >> 17) & word
        h ^= k * 0x1B873593 & word
        h = (h << 13 | h >> 19) & word
        h = (h * 5 + 0xE6546B64) & word
    h ^= 16
    h = (h ^ h >> 16) * 0x85EBCA6B & word
    h = (h ^ h >> 13) * 0xC2B2AE35 & word
    return h ^ h >> 16


def test_the_hash_is_sglangs() -> None:
    seeds, positions = [0, 7, 2**31 - 1, 2**40 + 3, 2**64 - 1], [0, 1, 5, 1000, 2**31 - 1]
    found = murmur_hash32(
        torch.tensor(np.array(seeds, np.uint64)), torch.tensor(positions), torch.arange(50)
    )
    assert found.dtype == torch.uint32
    assert found.tolist() == [
        [scalar_murmur(s, p, c) for c in range(50)] for s, p in zip(seeds, positions, strict=True)
    ]


def test_min_p_leaves_the_likely_tokens_and_the_seed() -> None:
    seen: list[Any] = []
    probs = torch.tensor([[0.5, 0.3, 0.2], [0.9, 0.06, 0.04]])
    min_ps, seed = torch.tensor([1.0, 0.05]), torch.tensor([1, 2])
    original: Any = lambda *args: seen.append(args)  # noqa: E731
    seeded.apply_min_p(original, probs, None, None, min_ps, True, seed, None)
    assert torch.equal(seen[0][0], torch.tensor([[0.5, 0.0, 0.0], [0.9, 0.06, 0.0]]))
    assert seen[0][4:] == (False, seed, None)
    seeded.apply_min_p(original, probs, None, None, min_ps, True, None, None)
    assert seen[1][0] is probs
    assert seen[1][4] is True


def test_requests_without_a_seed_get_different_ones() -> None:
    class Request:
        def __init__(self, rid: str, seed: int | None) -> None:
            self.rid = rid
            self.sampling_params = type("Parameters", (), {"sampling_seed": seed})()

    class Batch:
        reqs = (Request("a", None), Request("b", None), Request("c", 5))

    seeded.give_seeds(object, Batch(), 100)
    seeds = [request.sampling_params.sampling_seed for request in Batch.reqs]
    assert seeds[2] == 5
    assert len(set(seeds)) == 3


def test_the_launcher_is_importable_without_running_anything() -> None:
    assert callable(launch_server.main)
    assert json.dumps(standins.STOOD_IN)
