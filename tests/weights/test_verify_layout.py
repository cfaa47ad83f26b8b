"""Checksums on the trainer's side: tensors laid out as a server's ranks hold them."""

from __future__ import annotations

import pytest
import torch
from slime_hookspecs.errors import WeightSyncError

from slime_core.weights.servers import Server
from slime_core.weights.verify import Checksums, Target, _compare, rank_tensor, server_name

AT = "model.layers.3."


@pytest.mark.parametrize(
    ("hf_name", "expected"),
    [
        ("model.embed_tokens.weight", "model.embed_tokens.weight"),
        (f"{AT}self_attn.k_proj.bias", f"{AT}self_attn.qkv_proj.bias"),
        (f"{AT}mlp.up_proj.weight", f"{AT}mlp.gate_up_proj.weight"),
        (f"{AT}mlp.down_proj.weight", f"{AT}mlp.down_proj.weight"),
        (f"{AT}mlp.gate.weight", f"{AT}mlp.gate.weight"),
        (f"{AT}mlp.experts.12.up_proj.weight", f"{AT}mlp.experts.w13_weight"),
        (f"{AT}mlp.experts.12.down_proj.weight", f"{AT}mlp.experts.w2_weight"),
    ],
)
def test_server_names(hf_name: str, expected: str) -> None:
    assert server_name(hf_name) == expected


def column(first: int, rows: int) -> torch.Tensor:
    return torch.arange(float(first), first + rows).reshape(rows, 1)


def rows(name: str, parts: dict[str, torch.Tensor], tp: int, rank: int, groups: int) -> list[float]:
    target = Target(tp, torch.float32, groups)
    return [float(x) for x in rank_tensor(name, parts, target, rank).flatten()]


def test_each_rank_has_its_queries_keys_and_values_end_to_end() -> None:
    name = f"{AT}self_attn.qkv_proj.weight"
    parts = {
        f"{AT}self_attn.{x}_proj.weight": column(100 * i, n)
        for i, (x, n) in enumerate((("q", 4), ("k", 2), ("v", 2)))
    }
    assert rows(name, parts, 1, 0, 2) == [0, 1, 2, 3, 100, 101, 200, 201]
    assert rows(name, parts, 2, 1, 2) == [2, 3, 101, 201]
    # Four ranks, two key-value heads: the first two ranks hold the first one, the others the other.
    assert rows(name, parts, 4, 1, 2) == [1, 100, 200]
    assert rows(name, parts, 4, 2, 2) == [2, 101, 201]
    # One key-value head of two rows on two ranks: both hold it whole.
    assert rows(name, parts, 2, 1, 1) == [2, 3, 100, 101, 200, 201]


def test_experts_are_stacked_and_cut_inside_each() -> None:
    parts = {
        f"{AT}mlp.experts.{e}.{x}_proj.weight": column(100 * e + 10 * i, 2)
        for e in (0, 1)
        for i, x in enumerate(("gate", "up"))
    }
    name = f"{AT}mlp.experts.w13_weight"
    assert rows(name, parts, 1, 0, 1) == [0, 1, 10, 11, 100, 101, 110, 111]
    assert rows(name, parts, 2, 1, 1) == [1, 11, 101, 111]


def test_vocabularies_are_padded_to_64_and_cut_by_rows() -> None:
    parts = {"lm_head.weight": column(0, 70)}
    assert len(rows("lm_head.weight", parts, 1, 0, 1)) == 128
    assert rows("lm_head.weight", parts, 2, 1, 1) == [64, 65, 66, 67, 68, 69] + [0] * 58


def test_row_parallel_weights_are_cut_by_columns() -> None:
    name = f"{AT}self_attn.o_proj.weight"
    assert rows(name, {name: torch.arange(4.0).reshape(1, 4)}, 2, 1, 1) == [2, 3]


def noted(tensors: dict[str, torch.Tensor], target: Target) -> dict[str, str]:
    sums = Checksums((target,))
    assert list(sums.watch(iter(tensors.items()))) == list(tensors.items())
    return sums.found[target, 0]


def test_one_bit_changes_the_hash_of_its_parameter_alone() -> None:
    target = Target(1, torch.float32, 1)
    tensors = {"model.norm.weight": torch.ones(4), "model.embed_tokens.weight": torch.ones(64, 2)}
    before = noted(tensors, target)
    tensors["model.norm.weight"] = torch.ones(4)
    tensors["model.norm.weight"][2] = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0))
    after = noted(tensors, target)
    assert [name for name in before if before[name] != after[name]] == ["model.norm.weight"]


def test_weights_are_hashed_in_the_servers_dtype() -> None:
    tensors = {"model.norm.weight": torch.randn(4)}
    cast = {"model.norm.weight": tensors["model.norm.weight"].bfloat16()}
    bfloat16 = Target(1, torch.bfloat16, 1)
    assert noted(tensors, bfloat16) == noted(cast, bfloat16)
    assert noted(tensors, Target(1, torch.float32, 1)) != noted(tensors, bfloat16)


def test_a_comparison_names_what_differs_what_was_not_sent_and_what_is_unknown() -> None:
    with pytest.raises(WeightSyncError) as caught:
        _compare(
            "http://x (rank 0)", {"a": "1", "b": "1", "d": "1"}, {"a": "1", "b": "2", "c": "1"}
        )
    assert str(caught.value) == (
        "http://x (rank 0): after the update its weights are not the trainer's: 1 differ from the "
        "trainer's: b; 1 were not sent: c; 1 are not on the server: d"
    )


def test_nothing_at_all_is_no_proof() -> None:
    with pytest.raises(WeightSyncError, match="none could be compared"):
        _compare("http://x", {}, {})


def test_servers_are_plain_values() -> None:
    assert Server("u", 1, "float32", "/m") == Server("u", 1, "float32", "/m")
