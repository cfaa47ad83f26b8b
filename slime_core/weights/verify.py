"""Proof that the servers hold what was sent: checksums of every tensor, computed on both sides.

A server answers ``checksum`` with a 64-bit hash of the bytes of every parameter that it holds, on
each of its ranks. The trainer computes the same hashes while the weights go by: it lays them out as
a server does (query, key and value in one tensor, gate and up in another, experts stacked, each cut
for tensor parallelism, cast to the server's dtype) and hashes them as SGLang does.

What it proves: each parameter of each server rank equals the trainer's to the bit (but for a
collision, 2^-64). ``scramble`` puts random numbers into the servers' weights before an update;
equality after it proves that this update brought every tensor. Neither needs to know what the
servers held before, so it serves any update, of a resumed run too.

What it cannot judge: quantised servers, and ones whose kernels keep weights in another order (some
for experts, those of CPUs with AMX). Those are reported as different, never as equal.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

import torch
from slime_hookspecs.errors import WeightSyncError
from torch import Tensor

from slime_core.weights.layout import pad_rows
from slime_core.weights.servers import Server, ask_all

#: SGLang pads vocabularies to a multiple of this (``DEFAULT_VOCAB_PADDING_SIZE``).
VOCAB_MULTIPLE: Final = 64
_SHOWN: Final = 8
_EXPERT: Final = re.compile(r"(.*mlp\.experts)\.(\d+)\.(gate|up|down)_proj\.weight")
_FUSED: Final = {"q_proj": "qkv_proj", "k_proj": "qkv_proj", "v_proj": "qkv_proj"} | {
    "gate_proj": "gate_up_proj",
    "up_proj": "gate_up_proj",
}

#: Parts of one server parameter, by HF name, in the order of arrival.
Parts = dict[str, Tensor]


@final
@dataclass(frozen=True, slots=True)
class Target:
    """How a server holds weights.

    Attributes:
        tp: Tensor-parallel size.
        dtype: Type of its parameters.
        groups: Key-value heads of the model.
    """

    tp: int
    dtype: torch.dtype
    groups: int


def scramble(servers: Sequence[Server]) -> None:
    """Overwrite all weights on the servers with random numbers."""
    ask_all(servers, "/weights_checker", {"action": "reset_tensors"})


def server_name(hf_name: str) -> str:
    """The server's parameter that an HF tensor is a part of."""
    expert = _EXPERT.fullmatch(hf_name)
    if expert:
        return f"{expert[1]}.{'w2' if expert[3] == 'down' else 'w13'}_weight"
    head, _, suffix = hf_name.rpartition(".")
    path, _, part = head.rpartition(".")
    return f"{path}.{_FUSED[part]}.{suffix}" if part in _FUSED else hf_name


def rank_tensor(name: str, parts: Parts, target: Target, rank: int) -> Tensor:
    """One server rank's parameter from whole HF tensors.

    Args:
        name: The server's parameter.
        parts: Its HF tensors.
        target: How the server holds weights.
        rank: Tensor-parallel rank of the server.
    """
    cut = [_cut(hf_name, tensor, target, rank) for hf_name, tensor in parts.items()]
    if name.endswith("w13_weight"):
        pairs = zip(cut[::2], cut[1::2], strict=True)
        return torch.stack([torch.cat(pair) for pair in pairs])
    if name.endswith("w2_weight"):
        return torch.stack(cut)
    return torch.cat(cut) if len(cut) > 1 else cut[0]


def _cut(hf_name: str, tensor: Tensor, target: Target, rank: int) -> Tensor:
    """A server rank's part of one HF tensor."""
    part = hf_name.split(".")[-2]
    tp = target.tp
    if part in ("embed_tokens", "lm_head"):
        rows = -(-tensor.shape[0] // VOCAB_MULTIPLE) * VOCAB_MULTIPLE
        return pad_rows(tensor, rows).chunk(tp)[rank]
    if part in ("k_proj", "v_proj") and target.groups < tp:
        # Fewer heads than ranks: neighbouring ranks hold the same head.
        return tensor.chunk(target.groups)[rank * target.groups // tp]
    if part in (*_FUSED,):
        return tensor.chunk(tp)[rank]
    if part in ("o_proj", "down_proj"):
        return tensor.chunk(tp, 1)[rank]
    return tensor


@final
@dataclass(slots=True)
class Checksums:
    """Hashes of what the servers must hold, gathered while the weights go by.

    Attributes:
        targets: The ways in which the servers hold weights, each once.
        found: For each of them and each rank, the hash of each server parameter.
    """

    targets: tuple[Target, ...]
    found: dict[tuple[Target, int], dict[str, str]] = field(default_factory=dict)
    _open: dict[str, Parts] = field(default_factory=dict)
    _layer: str = ""

    def watch(self, tensors: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
        """The same tensors, noted on their way. They must come layer by layer."""
        for name, tensor in tensors:
            layer = ".".join(name.split(".")[:3])
            if layer != self._layer:
                self._close()
            self._layer = layer
            self._open.setdefault(server_name(name), {})[name] = tensor
            yield name, tensor
        self._close()

    def _close(self) -> None:
        """Hash the parameters of the layer that is complete."""
        for name, parts in self._open.items():
            for target in self.targets:
                for rank in range(target.tp):
                    ranks = self.found.setdefault((target, rank), {})
                    ranks[name] = _hash(name, parts, target, rank)
        self._open.clear()


def _hash(name: str, parts: Parts, target: Target, rank: int) -> str:
    try:
        whole = rank_tensor(name, parts, target, rank).to(target.dtype)
    except (ValueError, RuntimeError, IndexError) as error:
        return f"parts do not fit together: {error}"
    return tensor_hash(whole.contiguous())


def tensor_hash(tensor: Tensor) -> str:
    """SGLang's hash of a tensor's bytes.

    On a CPU that is the start of a SHA-256. On a GPU it is a kernel of SGLang's, which is called.
    """
    if not tensor.is_cuda:
        return hashlib.sha256(tensor.view(-1).view(torch.uint8).numpy()).hexdigest()[:16]
    from sglang.srt.managers import mm_utils

    return f"{mm_utils.tensor_hash(tensor):016x}"


def check(servers: Sequence[Server], targets: Mapping[str, Target], expected: Checksums) -> int:
    """Compare what the servers hold with what was sent.

    Args:
        servers: The servers.
        targets: For each server's URL, how it holds weights.
        expected: Hashes of what was sent.

    Returns:
        How many parameters were compared, over all servers and their ranks.

    Raises:
        WeightSyncError: Names the server, its rank, and the parameters that differ.
    """
    answers = ask_all(servers, "/weights_checker", {"action": "checksum"})
    compared = 0
    for server, answer in zip(servers, answers, strict=True):
        ranks = {r["parallelism_info"]["tp_rank"]: r["checksums"] for r in answer["ranks"]}
        for rank in range(server.tp):
            want = expected.found.get((targets[server.url], rank), {})
            _compare(f"{server.url} (rank {rank})", want, ranks.get(rank, {}))
            compared += len(want)
    return compared


def _compare(where: str, want: Mapping[str, str], held: Mapping[str, Any]) -> None:
    wrong = [name for name in want if name in held and held[name] != want[name]]
    problems = [
        _list("differ from the trainer's", wrong),
        _list("were not sent", [name for name in held if name not in want]),
        _list("are not on the server", [name for name in want if name not in held]),
    ]
    if any(problems):
        raise WeightSyncError(
            f"{where}: after the update its weights are not the trainer's: "
            + "; ".join(filter(None, problems))
        )
    if not want:
        raise WeightSyncError(f"{where}: no weights were sent, so none could be compared")


def _list(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{more}"
