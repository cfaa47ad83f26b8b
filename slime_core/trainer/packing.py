"""Where the samples of one micro-batch lie in its packed tokens, worked out once for all layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final, final

import torch
from megatron.core.packed_seq_params import PackedSeqParams
from torch import Tensor

#: One right-padded batch is used while it is at most this much larger than the tokens themselves.
PADDING: Final = 1.3
#: Otherwise samples go together while the shorter has this part of the longer one's tokens.
ALIKE: Final = 0.75
#: Samples up to this many tokens always go together.
SHORT: Final = 16


@final
@dataclass
class Packed(PackedSeqParams):
    """Megatron's packed-sequence parameters, with what rotary embedding and attention need here.

    ``qkv_format`` is not "thd" but a name that Megatron does not know, so that it treats queries
    and keys as one sequence, ``[tokens, 1, heads, head_dim]``, and leaves the samples to our rotary
    embedding and core attention: its own way with "thd" is a Python loop over samples a layer.

    Attributes:
        lengths: Tokens of each sample.
        positions: Position of each token in its sample, int64 ``[tokens]``.
        shapes: ``(samples, longest)`` of each right-padded batch.
        gather: Token that each cell of the padded batches holds, int64 ``[cells]``; ``None`` where
            the packed tokens are the padded batch already.
        scatter: Cell that each token lies in, int64 ``[tokens]``, or ``None`` likewise.
    """

    lengths: tuple[int, ...] = ()
    positions: Tensor = field(default_factory=lambda: torch.empty(0))
    shapes: tuple[tuple[int, int], ...] = ()
    gather: Tensor | None = None
    scatter: Tensor | None = None


def pack(lengths: Sequence[int], device: torch.device) -> Packed:
    """Describe samples of these lengths that lie end to end."""
    offsets = [0, *accumulate(lengths)]
    cumulative = torch.tensor(offsets, dtype=torch.int32, device=device)
    longest = max(lengths)
    shared: dict[str, Any] = {
        "qkv_format": "packed",
        "cu_seqlens_q": cumulative,
        "cu_seqlens_kv": cumulative,
        "max_seqlen_q": longest,
        "max_seqlen_kv": longest,
        "lengths": tuple(lengths),
    }
    sizes = torch.tensor(lengths)
    starts = torch.tensor(offsets[:-1])
    positions = torch.arange(offsets[-1]) - starts.repeat_interleave(sizes)
    if device.type != "cpu":
        return Packed(**shared, positions=positions.to(device))
    chunks = plan_chunks(lengths)
    shapes = tuple((len(chunk), max(lengths[i] for i in chunk)) for chunk in chunks)
    if len(chunks) == 1 and min(lengths) == longest:
        return Packed(**shared, positions=positions, shapes=shapes)
    gather, scatter = _cells(chunks, shapes, starts, sizes, positions)
    return Packed(**shared, positions=positions, shapes=shapes, gather=gather, scatter=scatter)


def plan_chunks(lengths: Sequence[int]) -> list[list[int]]:
    """Divide samples into batches that padding does not blow up; each lists sample numbers."""
    if len(lengths) * max(lengths) <= PADDING * sum(lengths):
        return [list(range(len(lengths)))]
    chunks: list[list[int]] = []
    for sample in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        longest = lengths[chunks[-1][0]] if chunks else 0
        if longest and (lengths[sample] >= ALIKE * longest or longest <= SHORT):
            chunks[-1].append(sample)
        else:
            chunks.append([sample])
    return chunks


def _cells(
    chunks: Sequence[Sequence[int]],
    shapes: Sequence[tuple[int, int]],
    starts: Tensor,
    sizes: Tensor,
    positions: Tensor,
) -> tuple[Tensor, Tensor]:
    gather, row_starts, base = [], torch.empty_like(starts), 0
    for chunk, (samples, longest) in zip(chunks, shapes, strict=True):
        rows = torch.tensor(chunk)
        # Cells beyond a sample's end hold its last token: causality hides them, and no one reads
        # what they attend to.
        column = torch.arange(longest).expand(samples, -1).minimum(sizes[rows, None] - 1)
        gather.append((starts[rows, None] + column).reshape(-1))
        row_starts[rows] = base + torch.arange(samples) * longest
        base += samples * longest
    return torch.cat(gather), row_starts.repeat_interleave(sizes) + positions
