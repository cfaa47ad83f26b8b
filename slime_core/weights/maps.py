"""Which Hugging Face tensors a Megatron parameter holds, for each supported architecture.

Names only, no tensors: ``layout`` does the arithmetic. Megatron names are *global* here: the layer
and expert numbers are those of the whole model, not those of one pipeline stage or expert rank.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, final

from slime_hookspecs.errors import ConfigError

Kind = Literal["plain", "qkv", "gate_up"]

#: What differs between the architectures; all else is the same decoder.
_TRAITS: Final[dict[str, frozenset[str]]] = {
    "LlamaForCausalLM": frozenset(),
    "Qwen2ForCausalLM": frozenset({"qkv_bias"}),
    "Qwen3ForCausalLM": frozenset({"qk_norm"}),
    "Qwen3MoeForCausalLM": frozenset({"qk_norm", "moe"}),
}
SUPPORTED: Final = tuple(_TRAITS)

_EMBEDDING: Final = "embedding.word_embeddings.weight"
_OUTPUT: Final = "output_layer.weight"
_FINAL_NORM: Final = "decoder.final_layernorm.weight"
_LAYER: Final = re.compile(r"decoder\.layers\.(\d+)\.(.+)")
_EXPERT: Final = re.compile(r"mlp\.experts\.local_experts\.(\d+)\.(linear_fc[12])\.weight")


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """How one Megatron parameter is made of HF tensors.

    Attributes:
        kind: ``plain`` is one tensor; ``qkv`` interleaves query, key and value by key-value group;
            ``gate_up`` puts the gate's rows above the up projection's.
        hf_names: The HF tensors, in the order in which they are put together.
        tp_dim: Dimension that tensor parallelism splits; None is replicated.
        expert: Split over the expert-tensor-parallel group instead of the tensor-parallel one.
        vocab: Rows are vocabulary entries, padded at the end to a multiple of the split.
    """

    kind: Kind
    hf_names: tuple[str, ...]
    tp_dim: int | None = None
    expert: bool = False
    vocab: bool = False


def _attention_parts(traits: frozenset[str]) -> dict[str, Rule]:
    suffixes = ("weight", "bias") if "qkv_bias" in traits else ("weight",)
    parts = {
        f"self_attention.linear_qkv.{s}": Rule(
            "qkv", tuple(f"self_attn.{x}_proj.{s}" for x in "qkv"), 0
        )
        for s in suffixes
    }
    parts["self_attention.linear_proj.weight"] = Rule("plain", ("self_attn.o_proj.weight",), 1)
    if "qk_norm" in traits:
        for x in "qk":
            norm = Rule("plain", (f"self_attn.{x}_norm.weight",))
            parts[f"self_attention.{x}_layernorm.weight"] = norm
    return parts


def _mlp_rule(part: str, prefix: str, expert: bool = False) -> Rule:
    if part == "linear_fc1":
        names = (f"{prefix}gate_proj.weight", f"{prefix}up_proj.weight")
        return Rule("gate_up", names, 0, expert)
    return Rule("plain", (f"{prefix}down_proj.weight",), 1, expert)


def _layer_parts(traits: frozenset[str]) -> dict[str, Rule]:
    """Rules of everything in a layer but its experts, with names relative to the layer."""
    before = Rule("plain", ("input_layernorm.weight",))
    after = Rule("plain", ("post_attention_layernorm.weight",))
    parts = {"input_layernorm.weight": before, **_attention_parts(traits)}
    parts["pre_mlp_layernorm.weight"] = after
    if "moe" in traits:
        parts["mlp.router.weight"] = Rule("plain", ("mlp.gate.weight",))
        return parts
    for part in ("linear_fc1", "linear_fc2"):
        parts[f"mlp.{part}.weight"] = _mlp_rule(part, "mlp.")
    return parts


#: Norms that TransformerEngine's layers keep inside the linear layer behind them.
_FUSED_NORMS: Final = {
    "self_attention.linear_qkv.layer_norm_weight": "input_layernorm.weight",
    "mlp.linear_fc1.layer_norm_weight": "pre_mlp_layernorm.weight",
}


@final
@dataclass(frozen=True)
class WeightMap:
    """One architecture's names, both ways, for a model of a given size.

    Attributes:
        architecture: HF class name.
        layers: Decoder layers.
        experts: Experts a layer; 0 for a dense model.
        groups: Key-value heads.
        vocab_size: Rows of the embedding without padding.
        tied: The output layer is the embedding, so HF files hold it once.
    """

    architecture: str
    layers: int
    experts: int
    groups: int
    vocab_size: int
    tied: bool

    @cached_property
    def _parts(self) -> dict[str, Rule]:
        return _layer_parts(_TRAITS[self.architecture])

    def names(self) -> Iterator[str]:
        """All Megatron names of the model, in the order in which weights are exported."""
        yield _EMBEDDING
        for layer in range(self.layers):
            at = f"decoder.layers.{layer}."
            yield from (at + part for part in self._parts)
            for expert in range(self.experts):
                for part in ("linear_fc1", "linear_fc2"):
                    yield f"{at}mlp.experts.local_experts.{expert}.{part}.weight"
        yield _FINAL_NORM
        if not self.tied:
            yield _OUTPUT

    def canonical(self, name: str) -> str:
        """The name under which ``names`` lists a parameter: fused norms get their own, a tied
        output layer is the embedding."""
        if name == _OUTPUT and self.tied:
            return _EMBEDDING
        match = _LAYER.fullmatch(name)
        if match and match[2] in _FUSED_NORMS:
            return f"decoder.layers.{match[1]}.{_FUSED_NORMS[match[2]]}"
        return name

    def rule(self, name: str) -> Rule:
        """How the parameter with this global Megatron name is made.

        Raises:
            ConfigError: The architecture has no such parameter.
        """
        name = self.canonical(name)
        if name == _EMBEDDING:
            return Rule("plain", ("model.embed_tokens.weight",), 0, vocab=True)
        if name == _OUTPUT:
            return Rule("plain", ("lm_head.weight",), 0, vocab=True)
        if name == _FINAL_NORM:
            return Rule("plain", ("model.norm.weight",))
        match = _LAYER.fullmatch(name)
        relative = self._relative(match[2]) if match else None
        if match is None or relative is None:
            raise ConfigError(
                f"{self.architecture}: the trainer's parameter {name!r} has no HF counterpart"
            )
        names = tuple(f"model.layers.{match[1]}.{n}" for n in relative.hf_names)
        return Rule(relative.kind, names, relative.tp_dim, relative.expert)

    def _relative(self, part: str) -> Rule | None:
        match = _EXPERT.fullmatch(part)
        if match and self.experts:
            return _mlp_rule(match[2], f"mlp.experts.{match[1]}.", expert=True)
        return self._parts.get(part)

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Place of each Megatron name in the order of export."""
        return {name: i for i, name in enumerate(self.names())}

    @cached_property
    def _owners(self) -> Mapping[str, tuple[str, int]]:
        return {
            hf: (name, i) for name in self.names() for i, hf in enumerate(self.rule(name).hf_names)
        }

    def owner(self, hf_name: str) -> tuple[str, int]:
        """The Megatron parameter that holds an HF tensor, and which part of it that is.

        Raises:
            ConfigError: The architecture has no such tensor.
        """
        if hf_name not in self._owners:
            near = difflib.get_close_matches(hf_name, self._owners, 1)
            hint = f"; the nearest is {near[0]!r}" if near else ""
            raise ConfigError(f"{self.architecture} has no tensor {hf_name!r}{hint}")
        return self._owners[hf_name]

    def hf_names(self) -> Iterator[str]:
        """All HF tensors of the model, in the order of export."""
        return iter(self._owners)


def architecture(hf_config: Mapping[str, Any]) -> str:
    """The supported architecture that a ``config.json`` names.

    Raises:
        ConfigError: It names none, or one that slime cannot train.
    """
    found = hf_config.get("architectures") or []
    for name in found:
        if name in _TRAITS:
            return str(name)
    what = ", ".join(map(str, found)) or "none"
    near = difflib.get_close_matches(what, SUPPORTED, 1)
    hint = f" (nearest: {near[0]})" if near else ""
    raise ConfigError(
        f"config.json names the architecture {what}; supported are {', '.join(SUPPORTED)}{hint}"
    )


def weight_map(hf_config: Mapping[str, Any]) -> WeightMap:
    """The map for the model that a ``config.json`` (as ``hf.read_config`` gives it) describes.

    Raises:
        ConfigError: The architecture is not supported, or mixes dense and expert layers.
    """
    name = architecture(hf_config)
    moe = "moe" in _TRAITS[name]
    if moe and (hf_config.get("mlp_only_layers") or hf_config.get("decoder_sparse_step", 1) != 1):
        raise ConfigError(
            f"{name}: mlp_only_layers={hf_config.get('mlp_only_layers')} and decoder_sparse_step="
            f"{hf_config.get('decoder_sparse_step')} mix dense and expert layers; only models "
            "whose layers all have experts are supported"
        )
    heads = int(hf_config["num_attention_heads"])
    return WeightMap(
        architecture=name,
        layers=int(hf_config["num_hidden_layers"]),
        experts=int(hf_config["num_experts"]) if moe else 0,
        groups=int(hf_config.get("num_key_value_heads") or heads),
        vocab_size=int(hf_config["vocab_size"]),
        tied=bool(hf_config.get("tie_word_embeddings", False)),
    )
