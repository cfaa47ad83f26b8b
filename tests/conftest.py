"""Tiny random models that every room's tests can serve and train, built once a test session."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

#: Special tokens come first, so that their ids are 0 to 7; 256 byte tokens follow: 264 in all.
SPECIALS = (
    "<|pad|>",
    "<|end|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
    "<|endoftext|>",
    "<|think|>",
)
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
TINY_KINDS = ("llama", "qwen2", "qwen3", "qwen3_moe")

TinyModel = Callable[..., Path]


@pytest.fixture(autouse=True)
def _same_environment() -> Iterator[None]:
    """No test leaves an environment variable behind for the processes that later ones start."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """``tiny_model(kind, seed=0, **config)`` is the folder of a random HF model in float32.

    ``kind`` is one of ``TINY_KINDS``; ``config`` overrides fields of its HF config. Hidden size 64,
    2 layers, 4 heads (2 of keys and values), 264 byte-level tokens, context 2,048. The same
    arguments give the same folder: read it, never write to it.
    """

    @functools.cache
    def build(kind: str, seed: int, overrides: tuple[tuple[str, Any], ...]) -> Path:
        folder = tmp_path_factory.mktemp(f"tiny-{kind}-")
        write_tiny_model(folder, kind, seed, **dict(overrides))
        return folder

    return lambda kind="qwen3", seed=0, **config: build(kind, seed, tuple(sorted(config.items())))


@pytest.fixture(scope="session")
def tiny_model_dir(tiny_model: TinyModel) -> Path:
    """The folder of the tiny Qwen3 model with seed 0."""
    return tiny_model("qwen3")


def write_tiny_model(folder: Path, kind: str, seed: int = 0, **overrides: Any) -> None:
    """Write a random model, its tokenizer and its chat template to ``folder``."""
    import torch
    import transformers

    tokenizer = tiny_tokenizer()
    config = tiny_config(kind, len(tokenizer), **overrides)
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for parameter in model.parameters():
        if parameter.dim() > 1:  # wide weights make log-probs that differ between tokens
            torch.nn.init.normal_(parameter, std=0.15)
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tiny_config(kind: str, vocabulary: int, **overrides: Any) -> Any:
    """The HF config of a tiny model."""
    import transformers

    fields: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": kind in ("qwen2", "qwen3"),
        "bos_token_id": None,
        "eos_token_id": SPECIALS.index("<|end|>"),
        "pad_token_id": SPECIALS.index("<|pad|>"),
    }
    if kind.startswith("qwen3"):
        fields["head_dim"] = 16
    if kind == "qwen3_moe":
        fields |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
        fields |= {"norm_topk_prob": True, "decoder_sparse_step": 1}
    return transformers.AutoConfig.for_model(kind, **(fields | overrides))


def tiny_tokenizer() -> Any:
    """A tokenizer with one token a byte, special tokens and a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*SPECIALS, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=[s for s in SPECIALS if s not in ("<|end|>", "<|pad|>")],
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
