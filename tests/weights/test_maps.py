"""HF <-> Megatron names and tensors: both directions, exact to the bit, for every architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slime_hookspecs.errors import ConfigError
from torch import Tensor

from slime_core.weights import layout, maps

HEAD_DIM = 4
HIDDEN = 12


def hf_config(arch: str, **fields: Any) -> dict[str, Any]:
    """A config.json of a very small model whose sizes divide by 4."""
    base = {
        "architectures": [arch],
        "num_hidden_layers": 3,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 37,
        "tie_word_embeddings": False,
    }
    moe = {"num_experts": 4} if arch == "Qwen3MoeForCausalLM" else {}
    return base | moe | fields


def hf_shape(name: str, config: dict[str, Any]) -> tuple[int, ...]:
    """Shape that a tensor has in the model's HF folder."""
    queries = config["num_attention_heads"] * HEAD_DIM
    keys = config["num_key_value_heads"] * HEAD_DIM
    rows = {"q_proj": queries, "k_proj": keys, "v_proj": keys, "gate_proj": 20, "up_proj": 20}
    part = name.split(".")[-2]
    if part in rows:
        return (rows[part],) if name.endswith("bias") else (rows[part], HIDDEN)
    if part in ("embed_tokens", "lm_head"):
        return (config["vocab_size"], HIDDEN)
    sizes = {"o_proj": (HIDDEN, queries), "down_proj": (HIDDEN, 20), "gate": (4, HIDDEN)}
    return sizes.get(part, (HEAD_DIM,) if part in ("q_norm", "k_norm") else (HIDDEN,))


def random_model(config: dict[str, Any], seed: int) -> dict[str, Tensor]:
    """All HF tensors of a model, random bits."""
    make = torch.Generator().manual_seed(seed)
    names = maps.weight_map(config).hf_names()
    return {n: torch.randn(hf_shape(n, config), generator=make) for n in names}


@settings(max_examples=30, deadline=None)
@given(
    arch=st.sampled_from(maps.SUPPORTED),
    tp=st.sampled_from([1, 2, 4]),
    tied=st.booleans(),
    kv_heads=st.sampled_from([4, 8]),
    vocab=st.integers(5, 40),
    seed=st.integers(0, 99),
)
def test_every_tensor_survives_the_way_to_megatron_and_back(
    arch: str, tp: int, tied: bool, kv_heads: int, vocab: int, seed: int
) -> None:
    config = hf_config(
        arch, tie_word_embeddings=tied, num_key_value_heads=kv_heads, vocab_size=vocab
    )
    weights, model = maps.weight_map(config), random_model(config, seed)
    rows = -(-vocab // (4 * tp)) * 4 * tp
    back: dict[str, Tensor] = {}
    for name in weights.names():
        rule = weights.rule(name)
        parts = [model[n] for n in rule.hf_names]
        count = 1 if rule.tp_dim is None else tp
        shards = [
            layout.to_megatron(rule, parts, weights.groups, count, rank, rows)
            for rank in range(count)
        ]
        assert len({s.shape for s in shards}) == 1
        queries = config["num_attention_heads"] // kv_heads
        whole = layout.to_hf(rule, shards, weights.groups, queries, vocab)
        back.update(zip(rule.hf_names, whole, strict=True))
    assert list(back) == list(model)
    assert all(torch.equal(back[n], model[n]) for n in model)


def test_qkv_rows_are_grouped_by_key_value_head() -> None:
    q = torch.arange(8.0).reshape(8, 1)  # 4 query heads of dimension 2, 2 to a group
    k, v = 100 + torch.arange(4.0).reshape(4, 1), 200 + torch.arange(4.0).reshape(4, 1)
    merged = layout.merge_qkv(q, k, v, groups=2).flatten().tolist()
    assert merged == [0, 1, 2, 3, 100, 101, 200, 201, 4, 5, 6, 7, 102, 103, 202, 203]


def test_each_tensor_parallel_rank_holds_its_own_gate_above_its_own_up() -> None:
    rule = maps.Rule("gate_up", ("gate", "up"), 0)
    gate, up = torch.arange(4.0).reshape(4, 1), 10 + torch.arange(4.0).reshape(4, 1)
    shard = layout.to_megatron(rule, [gate, up], 1, tp=2, rank=1)
    assert shard.flatten().tolist() == [2, 3, 12, 13]


def test_the_vocabulary_is_padded_with_zeros_and_cut_off_again() -> None:
    rule = maps.Rule("plain", ("embed",), 0, vocab=True)
    table = torch.ones(5, 2)
    shards = [layout.to_megatron(rule, [table], 1, 2, r, vocab_rows=8) for r in (0, 1)]
    assert [s.shape[0] for s in shards] == [4, 4]
    assert shards[1].sum(1).tolist() == [2, 0, 0, 0]
    (back,) = layout.to_hf(rule, shards, 1, 1, vocab_size=5)
    assert torch.equal(back, table)


@pytest.mark.parametrize(
    ("part", "tp_dim", "expert"),
    [
        ("self_attention.linear_qkv", 0, False),
        ("self_attention.linear_proj", 1, False),
        ("self_attention.q_layernorm", None, False),
        ("input_layernorm", None, False),
        ("pre_mlp_layernorm", None, False),
        ("mlp.router", None, False),
        ("mlp.experts.local_experts.3.linear_fc1", 0, True),
        ("mlp.experts.local_experts.3.linear_fc2", 1, True),
    ],
)
def test_tensor_parallelism_cuts_what_megatron_cuts(
    part: str, tp_dim: int | None, expert: bool
) -> None:
    weights = maps.weight_map(hf_config("Qwen3MoeForCausalLM"))
    rule = weights.rule(f"decoder.layers.1.{part}.weight")
    assert (rule.tp_dim, rule.expert) == (tp_dim, expert)


@pytest.mark.parametrize("arch", maps.SUPPORTED)
@pytest.mark.parametrize("tied", [True, False])
def test_names_map_one_to_one_both_ways(arch: str, tied: bool) -> None:
    weights = maps.weight_map(hf_config(arch, tie_word_embeddings=tied))
    for name in weights.names():
        for i, hf_name in enumerate(weights.rule(name).hf_names):
            assert weights.owner(hf_name) == (name, i)
    names = list(weights.hf_names())
    assert len(set(names)) == len(names)
    assert ("lm_head.weight" in names) is not tied


@pytest.mark.parametrize(
    ("kind", "arch"),
    [
        ("llama", "LlamaForCausalLM"),
        ("qwen2", "Qwen2ForCausalLM"),
        ("qwen3", "Qwen3ForCausalLM"),
        ("qwen3_moe", "Qwen3MoeForCausalLM"),
    ],
)
def test_the_map_names_exactly_the_tensors_that_transformers_saves(
    tiny_model: Any, kind: str, arch: str
) -> None:
    from slime_core.weights import hf
    from slime_core.weights.reader import TensorReader

    folder = tiny_model(kind)
    config = hf.read_config(folder)
    assert config["architectures"] == [arch]
    with TensorReader(folder) as reader:
        assert set(maps.weight_map(config).hf_names()) == set(reader.names())


def test_a_tied_output_layer_is_a_copy_of_the_embedding() -> None:
    weights = maps.weight_map(hf_config("Qwen3ForCausalLM", tie_word_embeddings=True))
    assert weights.canonical("output_layer.weight") == "embedding.word_embeddings.weight"
    assert weights.rule("output_layer.weight").hf_names == ("model.embed_tokens.weight",)


def test_norms_fused_into_linear_layers_are_the_same_tensors() -> None:
    weights = maps.weight_map(hf_config("LlamaForCausalLM"))
    fused = "decoder.layers.2.mlp.linear_fc1.layer_norm_weight"
    assert weights.rule(fused).hf_names == ("model.layers.2.post_attention_layernorm.weight",)
    assert weights.canonical(fused) == "decoder.layers.2.pre_mlp_layernorm.weight"


def test_an_unsupported_architecture_is_refused_with_the_supported_ones() -> None:
    with pytest.raises(ConfigError, match=r"Qwen3ForCausalLMX.*LlamaFor.*nearest: Qwen3For"):
        maps.weight_map({"architectures": ["Qwen3ForCausalLMX"]})


def test_no_architecture_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="architecture none"):
        maps.weight_map({})


def test_layers_without_experts_between_layers_with_them_are_refused() -> None:
    with pytest.raises(ConfigError, match="mlp_only_layers"):
        maps.weight_map(hf_config("Qwen3MoeForCausalLM", mlp_only_layers=[0]))


def test_an_unknown_parameter_is_named() -> None:
    weights = maps.weight_map(hf_config("LlamaForCausalLM"))
    with pytest.raises(ConfigError, match=r"q_layernorm.*no HF counterpart"):
        weights.rule("decoder.layers.0.self_attention.q_layernorm.weight")


def test_an_unknown_tensor_gets_the_nearest_name() -> None:
    weights = maps.weight_map(hf_config("LlamaForCausalLM"))
    with pytest.raises(ConfigError, match=r"nearest is 'model\.norm\.weight'"):
        weights.owner("model.norms.weight")


def test_heads_that_do_not_divide_are_refused() -> None:
    rule = maps.Rule("qkv", ("q", "k", "v"), 0)
    tensors = [torch.zeros(12, 1), torch.zeros(6, 1), torch.zeros(6, 1)]
    with pytest.raises(ConfigError, match="key-value heads: 3 does not divide into 2"):
        layout.to_megatron(rule, tensors, 3, tp=2, rank=0)
