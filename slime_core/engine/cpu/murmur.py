"""The hash from which SGLang draws seeded samples, in numpy: its own is a Triton kernel."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# 32-bit words: products and sums wrap by themselves, right shifts bring in zeros.
Words: TypeAlias = npt.NDArray[np.uint32]


def murmur_hash32(seed: Any, positions: Any, columns: Any) -> Any:
    """MurmurHash3 of (64-bit seed, 32-bit position, 32-bit column), 32 bits.

    Args:
        seed: uint64 tensor ``[rows]``.
        positions: int tensor ``[rows]``, of the token in its sequence.
        columns: int tensor ``[columns]``, ids of the vocabulary.

    Returns:
        uint32 tensor ``[rows, columns]``.
    """
    import torch

    seeds = seed.numpy().astype(np.uint64)[:, None]
    h = _mix(np.zeros(seeds.shape, np.uint32), seeds.astype(np.uint32))
    h = _mix(h, (seeds >> np.uint64(32)).astype(np.uint32))
    h = _mix(h, positions.numpy().astype(np.uint32)[:, None])
    h = _mix(h, columns.numpy().astype(np.uint32)[None, :])
    return torch.from_numpy(_finish(h ^ np.uint32(16)))


def _mix(h: Words, k: Words) -> Words:
    k = _rotate(k * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)
    return _rotate(h ^ k, 13) * np.uint32(5) + np.uint32(0xE6546B64)


def _finish(h: Words) -> Words:
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def _rotate(x: Words, bits: int) -> Words:
    return (x << np.uint32(bits)) | (x >> np.uint32(32 - bits))
