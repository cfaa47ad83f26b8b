"""Attention and normalisation in torch alone, for what Megatron's local modules refuse.

Megatron's own ``DotProductAttention`` takes no packed sequences, and its RMSNorm no sequence
parallelism: both work with TransformerEngine only.
"""

from __future__ import annotations

from typing import Any, final

import torch
from megatron.core.transformer.module import MegatronModule
from torch import Tensor
from torch.nn import functional

from slime_core.trainer.packing import Packed

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # before torch 2.10
    varlen_attn = None


@final
class TorchRMSNorm(torch.nn.RMSNorm):
    """RMSNorm that works under sequence parallelism.

    The weight only has to be marked: Megatron then sums its gradient over tensor-parallel ranks.
    """

    def __init__(self, config: Any, hidden_size: int, eps: float = 1e-5, **_: Any) -> None:
        super().__init__(hidden_size, eps=eps)
        self.weight.sequence_parallel = config.sequence_parallel


@final
class TorchAttention(MegatronModule):
    """Causal self-attention within each sample of a packed micro-batch."""

    def __init__(
        self,
        config: Any,
        layer_number: int,
        attn_mask_type: Any,
        attention_type: str,
        softmax_scale: float | None = None,
        **_: Any,
    ) -> None:
        super().__init__(config=config)
        self.scale = softmax_scale

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        packed_seq_params: Packed,
        **_: Any,
    ) -> Tensor:
        """Attend.

        Args:
            query: ``[tokens, 1, heads, head_dim]``.
            key: ``[tokens, 1, key-value heads, head_dim]``.
            value: As ``key``.
            attention_mask: Unused.
            packed_seq_params: Where the samples lie.

        Returns:
            ``[tokens, 1, heads x head_dim]``.
        """
        query, key, value = query.squeeze(1), key.squeeze(1), value.squeeze(1)
        if not query.is_cuda:
            out = _padded(query, key, value, packed_seq_params, self.scale)
        elif varlen_attn is None or query.dtype == torch.float32:
            out = _each(query, key, value, packed_seq_params, self.scale)
        else:
            out = _varlen(query, key, value, packed_seq_params, self.scale)
        return out.reshape(out.shape[0], 1, -1)


def _attend(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
    """Causal attention, ``[samples, heads, tokens, head_dim]`` each."""
    grouped = query.shape[1] != key.shape[1]
    return functional.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=scale, enable_gqa=grouped
    )


def _padded(
    query: Tensor, key: Tensor, value: Tensor, packed: Packed, scale: float | None
) -> Tensor:
    """Attention over right-padded batches: under causality the padding needs no mask."""
    batches = zip(*(_spread(x, packed) for x in (query, key, value)), strict=True)
    outputs = [_attend(q, k, v, scale).transpose(1, 2).flatten(0, 1) for q, k, v in batches]
    out = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    return out if packed.scatter is None else out.index_select(0, packed.scatter)


def _spread(x: Tensor, packed: Packed) -> list[Tensor]:
    """``[tokens, heads, dim]`` -> one ``[samples, heads, longest, dim]`` for each padded batch."""
    cells = x if packed.gather is None else x.index_select(0, packed.gather)
    sizes = [samples * longest for samples, longest in packed.shapes]
    return [
        part.view(*shape, *x.shape[1:]).transpose(1, 2)
        for part, shape in zip(cells.split(sizes), packed.shapes, strict=True)
    ]


def _varlen(
    query: Tensor, key: Tensor, value: Tensor, packed: Packed, scale: float | None
) -> Tensor:
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = (x.repeat_interleave(repeats, 1) for x in (key, value))
    offsets, longest = packed.cu_seqlens_q, packed.max_seqlen_q
    return varlen_attn(
        query, key, value, offsets, offsets, longest, longest, scale=scale, window_size=(-1, 0)
    )


def _each(query: Tensor, key: Tensor, value: Tensor, packed: Packed, scale: float | None) -> Tensor:
    """One sample after another: slow, for float32 on a GPU, which ``varlen_attn`` does not take."""
    parts = [x.transpose(0, 1)[None].split(packed.lengths, 2) for x in (query, key, value)]
    outputs = [_attend(q, k, v, scale)[0].transpose(0, 1) for q, k, v in zip(*parts, strict=True)]
    return torch.cat(outputs)
