"""Which rank and which micro-batch each sample goes to. Knows lengths only."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import final

import numpy as np

from slime_core.batching.shards import Column


@final
@dataclass(frozen=True, slots=True)
class Piece:
    """What one micro-batch holds.

    Attributes:
        samples: Positions of its samples, ascending.
        is_copy: It only keeps a rank in step with the others, and has no weight.
    """

    samples: tuple[int, ...]
    is_copy: bool = False


def arrange(lengths: Column, part: Column, ranks: int, limit: int) -> list[list[Piece]]:
    """Micro-batches of each rank for one update, equally many on each.

    Args:
        lengths: Tokens of every sample, ``[samples]``.
        part: Positions of the update's samples; not empty.
        ranks: Data-parallel ranks.
        limit: Most tokens in a micro-batch, except one that holds a single longer sample.
    """
    packed = [first_fit(lengths, own, limit) for own in balance(lengths, part, ranks)]
    count = max(len(bins) for bins in packed)
    spare = Piece((int(min(part, key=lambda i: (lengths[i], i))),), is_copy=True)
    return [_fill(lengths, bins, count, spare) for bins in packed]


def balance(lengths: Column, part: Column, ranks: int) -> list[list[int]]:
    """Samples of each rank, so that ranks have about as many tokens: longest first to the least.

    Graham's LPT rule (1969): at most 4/3 of the best possible maximum.
    """
    loads = [(0, rank) for rank in range(ranks)]
    owned: list[list[int]] = [[] for _ in range(ranks)]
    for position in longest_first(lengths, part):
        load, rank = loads[0]
        owned[rank].append(position)
        heapq.heapreplace(loads, (load + int(lengths[position]), rank))
    return owned


def first_fit(lengths: Column, part: list[int], limit: int) -> list[list[int]]:
    """Bins of at most ``limit`` tokens: each sample, in the order given, to the first with room."""
    bins: list[list[int]] = []
    room = np.zeros(len(part), dtype=np.int64)
    for position in part:
        length = int(lengths[position])
        fits = room[: len(bins)] >= length
        where = int(fits.argmax()) if len(bins) else 0
        if not len(bins) or not fits[where]:
            where = len(bins)
            bins.append([])
            room[where] = limit
        bins[where].append(position)
        room[where] -= length
    return bins


def longest_first(lengths: Column, part: Column) -> list[int]:
    """Positions by falling length; equal ones by position."""
    order = np.lexsort((part, -lengths[part]))
    return [int(position) for position in part[order]]


def _fill(lengths: Column, bins: list[list[int]], count: int, spare: Piece) -> list[Piece]:
    """Exactly ``count`` pieces: split those with several samples, then add copies."""
    bins = list(bins)
    while len(bins) < count:
        many = [i for i, own in enumerate(bins) if len(own) > 1]
        if not many:
            break
        fullest = max(many, key=lambda i: (int(lengths[bins[i]].sum()), -i))
        halves = balance(lengths, np.array(bins[fullest]), 2)
        bins[fullest : fullest + 1] = halves
    pieces = [Piece(tuple(sorted(own))) for own in bins]
    return pieces + [spare] * (count - len(pieces))
