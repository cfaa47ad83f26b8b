"""The demo's model is the one that the figures are about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slime_core.demo.model import CONTEXT, PARAMETERS, VOCABULARY, make_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model, written once."""
    return make_tiny_model(tmp_path_factory.mktemp("demo") / "model", seed=0)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    """Its tokenizer, as anyone would load it."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def weights(folder: Path) -> dict[str, Any]:
    """All tensors."""
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_it_has_the_parameters_that_it_promises(folder: Path) -> None:
    assert sum(tensor.numel() for tensor in weights(folder).values()) == PARAMETERS == 559_360


def test_it_loads_as_a_stock_qwen3(folder: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    assert config.model_type == "qwen3"
    assert (config.vocab_size, config.max_position_embeddings) == (VOCABULARY, CONTEXT)
    assert config.tie_word_embeddings
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.generation_config.eos_token_id == 1


def test_each_digit_is_one_token(tokenizer: Any) -> None:
    ids = tokenizer.encode("9876543210")
    assert len(ids) == len(set(ids)) == 10
    assert len(tokenizer) == VOCABULARY


def test_an_answer_is_its_word_and_its_digits(tokenizer: Any) -> None:
    assert len(tokenizer.encode("Answer: 42")) == 3


def test_any_text_survives(tokenizer: Any) -> None:
    text = "Grüße, 世界! 12+3= \n\t<b>"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_chat_template_marks_turns_and_ends_the_assistants(tokenizer: Any) -> None:
    turns = [{"role": "user", "content": "37+5="}, {"role": "assistant", "content": "Answer: 42"}]
    render = tokenizer.apply_chat_template
    prompt = render(turns[:1], tokenize=False, add_generation_prompt=True)
    assert prompt == "<|user|>37+5=<|assistant|>"
    assert render(turns, tokenize=False) == f"{prompt}Answer: 42<|end|>"
    assert tokenizer.eos_token == "<|end|>"


def test_role_marks_are_single_tokens(tokenizer: Any) -> None:
    ids = tokenizer.encode("<|user|>1+2=<|assistant|>")
    assert tokenizer.convert_ids_to_tokens(ids) == ["<|user|>", "1", "+", "2", "=", "<|assistant|>"]


def test_the_seed_decides_the_weights(folder: Path, tmp_path: Path) -> None:
    import torch

    again = weights(make_tiny_model(tmp_path / "again", seed=0))
    other = weights(make_tiny_model(tmp_path / "other", seed=1))
    name = "model.embed_tokens.weight"
    assert torch.equal(weights(folder)[name], again[name])
    assert not torch.equal(again[name], other[name])


def test_making_it_leaves_the_callers_random_state_alone(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    make_tiny_model(tmp_path / "model", seed=0)
    assert torch.equal(torch.rand(3), expected)
