"""Packed attention sees each sample alone, whatever the lengths."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slime_core.trainer.attention import _each, _padded
from slime_core.trainer.packing import PADDING, SHORT, pack, plan_chunks

CPU = torch.device("cpu")


@given(st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_chunks_hold_every_sample_once_and_waste_little(lengths: list[int]) -> None:
    chunks = plan_chunks(lengths)
    assert sorted(i for chunk in chunks for i in chunk) == list(range(len(lengths)))
    cells = sum(len(chunk) * max(max(lengths[i] for i in chunk), 1) for chunk in chunks)
    short = sum(SHORT for n in lengths if n <= SHORT)
    assert cells <= max(PADDING, 4 / 3) * sum(lengths) + short


@pytest.mark.parametrize(
    "lengths",
    [[5], [4, 4, 4], [3, 7, 5, 6], [1, 40, 2, 39, 17, 1], [64, 1]],
    ids=["one sample", "equal", "one padded batch", "several batches", "very unequal"],
)
@pytest.mark.parametrize("groups", [4, 2, 1])
def test_padded_attention_is_that_of_each_sample_alone(lengths: Sequence[int], groups: int) -> None:
    torch.manual_seed(0)
    total = sum(lengths)
    query = torch.randn(total, 4, 8, requires_grad=True)
    key, value = (torch.randn(total, groups, 8, requires_grad=True) for _ in range(2))
    packed, weights = pack(lengths, CPU), torch.randn(total, 4, 8)
    results = []
    for attend in (_padded, _each):
        out = attend(query, key, value, packed, None)
        results.append([out, *torch.autograd.grad((out * weights).sum(), (query, key, value))])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_gathering_into_padded_batches_and_back_changes_nothing(lengths: list[int]) -> None:
    packed = pack(lengths, CPU)
    tokens = torch.arange(sum(lengths))
    if packed.gather is not None and packed.scatter is not None:
        assert torch.equal(tokens[packed.gather][packed.scatter], tokens)
    assert packed.positions.tolist() == [i for n in lengths for i in range(n)]
    assert packed.cu_seqlens_q.tolist()[-1] == sum(lengths)
