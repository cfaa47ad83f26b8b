"""Options and environment with which SGLang serves well on a CPU, where the user set none."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from slime_core.engine.cpu import CPU_ENGINE

ENVIRONMENT: Final = {
    CPU_ENGINE: "1",
    # More threads than one a process make the decoding of small models many times slower.
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "HF_HUB_OFFLINE": "1",
}
OPTIONS: Final = {
    "--device": "cpu",
    "--dtype": "float32",
    "--attention-backend": "torch_native",
    "--sampling-backend": "pytorch",
    "--grammar-backend": "none",
    "--max-running-requests": "256",
}
FLAGS: Final = (
    "--disable-overlap-schedule",
    "--enable-deterministic-inference",  # costs next to nothing here; see seeded.py
    "--skip-server-warmup",
    "--sleep-on-idle",
)

#: What the key-value cache may take, and the most tokens that it is ever made for.
CACHE_BYTES: Final = 512 << 20
CACHE_TOKENS: Final = 65_536


def complete(arguments: Sequence[str]) -> list[str]:
    """The server's command line with the CPU's options added where none was given."""
    given = {a.partition("=")[0] for a in arguments if a.startswith("--")}
    added = [token for pair in OPTIONS.items() if pair[0] not in given for token in pair]
    added += [flag for flag in FLAGS if flag not in given]
    if "--max-total-tokens" not in given:
        added += ["--max-total-tokens", str(cache_tokens(model_config(arguments)))]
    return [*arguments, *added]


def refuse(arguments: Sequence[str]) -> None:
    """Exit with a message where an option needs a GPU's kernels and would give wrong tokens."""
    if option(arguments, "--speculative-algorithm"):
        raise SystemExit("--speculative-algorithm needs a GPU: its kernels do not exist on a CPU")


def set_environment(arguments: Sequence[str]) -> None:
    """Set the variables that a CPU needs, for this process and its children, where unset."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    ranks = int(option(arguments, "--tp-size", "--tensor-parallel-size") or 1)
    if ranks > 1:  # SGLang refuses to share cores between ranks unless told which
        os.environ.setdefault("SGLANG_CPU_OMP_THREADS_BIND", cores(ranks))


def cores(ranks: int) -> str:
    """One core for each tensor-parallel rank, as SGLang spells it: ``0|1``."""
    available = sorted(os.sched_getaffinity(0))
    return "|".join(str(available[rank % len(available)]) for rank in range(ranks))


def cache_tokens(config: Mapping[str, Any]) -> int:
    """Tokens to make room for in the key-value cache of a model with this HF config.

    As many as fit into ``CACHE_BYTES`` in float32, but at least one full context.
    """
    heads = config.get("num_attention_heads", 1)
    head_size = config.get("head_dim") or config.get("hidden_size", 64) // heads
    kv_heads = config.get("num_key_value_heads") or heads
    token_bytes = 2 * 4 * config.get("num_hidden_layers", 1) * kv_heads * head_size
    context = config.get("max_position_embeddings", 2048)
    return int(max(context, min(CACHE_TOKENS, CACHE_BYTES // token_bytes)))


def model_config(arguments: Sequence[str]) -> dict[str, Any]:
    """The HF config of the model that the command line names; empty where SGLang must say why."""
    folder = option(arguments, "--model-path", "--model")
    file = Path(folder or "") / "config.json"
    try:
        config: dict[str, Any] = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return config


def option(arguments: Sequence[str], *names: str) -> str | None:
    """The last value of these options on a command line, ``--name value`` or ``--name=value``."""
    found = None
    for i, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            found = value if equals else next(iter(arguments[i + 1 : i + 2]), None)
    return found
