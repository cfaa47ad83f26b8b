"""Buckets: every tensor in order, none too large, and in SGLang's own format."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slime_core.weights.buckets import Bucket, pack

DTYPES = (torch.float32, torch.bfloat16, torch.uint8)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 40), st.sampled_from(DTYPES)), max_size=20),
    most=st.integers(1, 200),
)
def test_all_tensors_come_in_order_in_buckets_of_one_dtype_that_are_not_too_large(
    sizes: list[tuple[int, torch.dtype]], most: int
) -> None:
    tensors = [(str(i), torch.zeros(n, dtype=d)) for i, (n, d) in enumerate(sizes)]
    buckets = list(pack(iter(tensors), most))
    assert [name for b in buckets for name in b.names] == [name for name, _ in tensors]
    for bucket in buckets:
        assert bucket.nbytes <= most or len(bucket.tensors) == 1
        assert len(set(bucket.dtypes)) == 1


def test_a_bucket_is_filled_before_the_next_one_begins() -> None:
    tensors = [(str(i), torch.zeros(10, dtype=torch.uint8)) for i in range(5)]
    assert [len(b.tensors) for b in pack(tensors, 20)] == [2, 2, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_flattened_bytes_and_metadata_give_the_tensors_back(dtype: torch.dtype) -> None:
    tensors = (("a", torch.randn(3, 5, dtype=dtype)), ("b", torch.randn(7, dtype=dtype)))
    tensors += (("c", torch.randn(4, 6, dtype=dtype).T),)  # not contiguous
    bucket = Bucket(tensors)
    flat = bucket.flatten()
    for (name, tensor), place in zip(tensors, bucket.sglang_metadata(), strict=True):
        assert place.name == name
        assert place.end_idx - place.start_idx == place.numel
        back = flat[place.start_idx : place.end_idx].view(place.dtype).reshape(place.shape)
        assert torch.equal(back, tensor)
    out = torch.empty(bucket.nbytes, dtype=torch.uint8)
    bucket.flatten(out=out)
    assert torch.equal(out, flat)
    assert bucket.shapes == [[3, 5], [7], [6, 4]]


def test_metadata_has_the_fields_that_sglang_reads() -> None:
    """SGLang's own bucket lays the same tensors out at the same places."""
    import subprocess
    import sys

    code = """
from slime_core.engine import cpu
cpu.install()
import torch
from sglang.srt.weight_sync.tensor_bucket import FlattenedTensorBucket
from slime_core.weights.buckets import Bucket
tensors = [("a", torch.randn(3, 5)), ("b", torch.randn(7))]
theirs, ours = FlattenedTensorBucket(named_tensors=tensors), Bucket(tuple(tensors))
assert [vars(m) for m in theirs.get_metadata()] == [vars(m) for m in ours.sglang_metadata()]
assert torch.equal(theirs.get_flattened_tensor(), ours.flatten())
from slime_core.weights.verify import tensor_hash
from sglang.srt.managers import mm_utils
for t in (torch.randn(5, 7), torch.randn(3).bfloat16()):
    assert f"{mm_utils.tensor_hash(t):016x}" == tensor_hash(t)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
