"""Bring whole HF tensors to global rank 0 from a model that is split over many ranks.

One mechanism serves tensor, pipeline and expert parallelism: for each part of each parameter, the
lowest rank that holds it sends it straight to rank 0. Parts travel in rounds of bounded size, each
sender's as one flat message, so that rank 0 never holds more than a round and no other rank builds
a whole tensor. Data-parallel copies send nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import torch
import torch.distributed as dist
from slime_hookspecs.errors import TrainerError
from torch import Tensor, nn

from slime_core.weights import layout
from slime_core.weights.local import local_parameters
from slime_core.weights.maps import WeightMap, weight_map

#: Bytes that rank 0 receives at once, unless one parameter alone is larger.
ROUND_BYTES: Final = 256 << 20


@final
@dataclass(frozen=True, slots=True)
class Held:
    """A part of a parameter that some rank holds."""

    name: str
    tp: int
    tp_rank: int
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Size of this part."""
        return math.prod(self.shape) * int(self.dtype.itemsize)


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """A parameter and, for each of its parts in order, the rank that sends it."""

    part: Held
    senders: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size of the whole parameter."""
        return self.part.nbytes * len(self.senders)


Round: TypeAlias = list[Entry]


def plan(held: Sequence[Sequence[Held]], weights: WeightMap) -> list[Entry]:
    """Who sends what, in the order of export.

    Args:
        held: What each rank holds, by rank, under canonical names.
        weights: The architecture's map.

    Raises:
        TrainerError: A parameter, or a part of one, is on no rank.
    """
    senders: dict[str, dict[int, int]] = {}
    parts: dict[str, Held] = {}
    for rank, items in enumerate(held):
        for item in items:
            senders.setdefault(item.name, {}).setdefault(item.tp_rank, rank)
            parts.setdefault(item.name, item)
    missing = [
        name
        for name in weights.positions
        if name not in parts or len(senders[name]) != parts[name].tp
    ]
    if missing:
        raise TrainerError(
            f"no rank holds all of {missing[0]!r} ({len(missing)} parameters are incomplete)"
        )
    return [
        Entry(parts[name], tuple(senders[name][i] for i in range(parts[name].tp)))
        for name in weights.positions
    ]


def rounds(entries: Sequence[Entry], most: int) -> Iterator[Round]:
    """The entries in order, in rounds of at most ``most`` bytes or one entry."""
    current: Round = []
    size = 0
    for entry in entries:
        if current and size + entry.nbytes > most:
            yield current
            current, size = [], 0
        current.append(entry)
        size += entry.nbytes
    if current:
        yield current


@torch.no_grad()
def iter_hf_tensors(
    chunks: Sequence[nn.Module],
    tf_config: Any,
    hf_config: Mapping[str, Any],
    round_bytes: int = ROUND_BYTES,
) -> Iterator[tuple[str, Tensor]]:
    """The model's weights as whole HF tensors, in a fixed order, on global rank 0 only.

    Collective: every rank must iterate to the end; ranks other than 0 get nothing. The tensors are
    copies, so that training may go on, on the device of the parameters.

    Args:
        chunks: GPTModels of this rank, one a virtual pipeline stage.
        tf_config: Their TransformerConfig.
        hf_config: The model's config.json.
        round_bytes: Most bytes that rank 0 receives at once.

    Raises:
        TrainerError: A parameter is on no rank.
    """
    weights = weight_map(hf_config)
    mine: dict[str, tuple[Held, Tensor]] = {}
    for item in local_parameters(chunks, weights, tf_config):
        p = item.parameter.detach()
        held = Held(weights.canonical(item.name), item.tp, item.tp_rank, tuple(p.shape), p.dtype)
        mine.setdefault(held.name, (held, p))
    device = next(iter(mine.values()))[1].device
    entries = plan(_everyones([held for held, _ in mine.values()]), weights)
    for batch in rounds(entries, round_bytes):
        received = _exchange(batch, {name: p for name, (_, p) in mine.items()}, device)
        if _rank() == 0:
            yield from _whole(batch, received, weights, tf_config)


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _everyones(mine: list[Held]) -> list[list[Held]]:
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [mine]
    found: list[Any] = [None] * dist.get_world_size()
    # The first collective of the world group: NCCL needs one before point-to-point batches.
    dist.all_gather_object(found, mine)
    return found


def _parts_from(batch: Round, rank: int) -> list[tuple[Entry, int]]:
    """The parts that a rank sends in a round, in the order of its message."""
    return [(e, i) for e in batch for i, sender in enumerate(e.senders) if sender == rank]


def _exchange(batch: Round, mine: Mapping[str, Tensor], device: torch.device) -> dict[int, Tensor]:
    """Send this rank's message of a round; rank 0 gets all, by sender."""
    rank = _rank()
    own = _parts_from(batch, rank)
    flat = [mine[e.part.name].contiguous().view(-1).view(torch.uint8) for e, _ in own]
    if rank != 0:
        if flat:
            _transfer([dist.P2POp(dist.isend, torch.cat(flat), 0)])
        return {}
    received = {0: torch.cat(flat)} if flat else {}
    receives = []
    for sender in sorted({s for e in batch for s in e.senders} - {0}):
        size = sum(e.part.nbytes for e, _ in _parts_from(batch, sender))
        received[sender] = torch.empty(size, dtype=torch.uint8, device=device)
        receives.append(dist.P2POp(dist.irecv, received[sender], sender))
    _transfer(receives)
    return received


def _transfer(operations: list[Any]) -> None:
    if operations:
        for work in dist.batch_isend_irecv(operations):
            work.wait()


def _whole(
    batch: Round, received: Mapping[int, Tensor], weights: WeightMap, tf_config: Any
) -> Iterator[tuple[str, Tensor]]:
    """The HF tensors of a round, from the senders' flat messages."""
    shards: dict[tuple[str, int], Tensor] = {}
    for sender, flat in received.items():
        at = 0
        for entry, i in _parts_from(batch, sender):
            part = entry.part
            piece = flat[at : at + part.nbytes]
            at += part.nbytes
            shards[part.name, i] = _typed(piece, part)
    queries = tf_config.num_attention_heads // weights.groups
    for entry in batch:
        name = entry.part.name
        rule = weights.rule(name)
        parts = [shards.pop((name, i)) for i in range(len(entry.senders))]
        whole = layout.to_hf(rule, parts, weights.groups, queries, weights.vocab_size)
        yield from zip(rule.hf_names, whole, strict=True)


def _typed(piece: Tensor, part: Held) -> Tensor:
    """Bytes of a message as the parameter they are; a view where its place in memory allows one."""
    if piece.storage_offset() % part.dtype.itemsize:
        piece = piece.clone()
    return piece.view(part.dtype).view(part.shape)
