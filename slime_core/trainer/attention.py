"""Attention and normalisation in torch alone, for what Megatron's local modules refuse.

Megatron's own ``DotProductAttention`` takes no packed sequences, and its RMSNorm no sequence
parallelism; both work with TransformerEngine only.
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

    The weight only has to be marked: Megatron then sums its gradient over the tensor-parallel group.
    """

    def __init__(self, config: Any, hidden_size: int, eps: float = 1e-5, **_: Any) -> None:
        super().__init__(hidden_size, eps=eps)
        self.weight.sequence_parallel = config.sequence_parallel


@final
class TorchAttention(MegatronModule):  # type: ignore[misc]
    """Causal self-attention within each sample of a packed micro-batch."""

    def __init__(
        self,
        config: Any,
        layer_number: int,
        attn_mask_type: Any,
        attention_type: str,
        attention_dropout: float | None = None,
        softmax_scale: float | None = None,
        **_: Any,
    ) -> None:
        super().__init__(config=config)
        self.scale = softmax_scale
        dropout = config.attention_dropout if attention_dropout is None else attention_dropout
        self.dropout = float(dropout)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        packed_seq_params: Packed,
        **_: Any,
    ) -> Tensor:
        """Queries, keys, values ``[tokens, 1, heads, head_dim]`` -> ``[tokens, 1, heads x head_dim]``."""
        query, key, value = query.squeeze(1), key.squeeze(1), value.squeeze(1)
        if query.is_cuda:
            out = _varlen(query, key, value, packed_seq_params, self.scale)
        else:
            dropout = self.dropout if self.training else 0.0
            out = _padded(query, key, value, packed_seq_params, self.scale, dropout)
        return out.reshape(out.shape[0], 1, -1)


def _padded(
    query: Tensor, key: Tensor, value: Tensor, packed: Packed, scale: float | None, dropout: float
) -> Tensor:
    """Attention over right-padded batches: under causality the padding needs no mask."""
    parts = [_spread(x, packed) for x in (query, key, value)]
    grouped = query.shape[1] != key.shape[1]
    outputs = [
        functional.scaled_dot_product_attention(
            *batch, is_causal=True, scale=scale, dropout_p=dropout, enable_gqa=grouped
        )
        .transpose(1, 2)
        .reshape(-1, query.shape[1], value.shape[2])
        for batch in zip(*parts, strict=True)
    ]
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


def _varlen(query: Tensor, key: Tensor, value: Tensor, packed: Packed, scale: float | None) -> Tensor:
    if varlen_attn is None or query.dtype == torch.float32:
        return _each(query, key, value, packed, scale)
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = (x.repeat_interleave(repeats, 1) for x in (key, value))
    offsets, longest = packed.cu_seqlens_q, packed.max_seqlen_q
    return varlen_attn(
        query, key, value, offsets, offsets, longest, longest, scale=scale, window_size=(-1, 0)
    )


def _each(query: Tensor, key: Tensor, value: Tensor, packed: Packed, scale: float | None) -> Tensor:
    lengths = packed.cu_seqlens_q.diff().tolist()
    parts = zip(*(x.transpose(0, 1).split(lengths, 1) for x in (query, key, value)), strict=True)
    grouped = query.shape[1] != key.shape[1]
    outputs = [
        functional.scaled_dot_product_attention(
            *(x.unsqueeze(0) for x in part), is_causal=True, scale=scale, enable_gqa=grouped
        )
        for part in parts
    ]
    return torch.cat([x[0].transpose(0, 1) for x in outputs])
