"""The tiny models that other tests stand on are themselves sound."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "qwen3_moe"])
def test_a_tiny_model_loads_and_runs(tiny_model: Callable[..., Path], kind: str) -> None:
    folder = tiny_model(kind)
    assert json.loads((folder / "config.json").read_text())["model_type"] == kind
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": "2+3="}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert tokenizer.decode(ids) == "<|user|>2+3=<|assistant|>"
    assert len(ids) == 6
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert model(torch.tensor([ids])).logits.shape == (1, 6, len(tokenizer))


def test_equal_arguments_share_a_folder_and_seeds_differ(tiny_model: Callable[..., Path]) -> None:
    assert tiny_model("llama") is tiny_model("llama")
    assert tiny_model("llama", seed=1) != tiny_model("llama")
