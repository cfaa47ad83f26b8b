"""A tiny random model that writes tool calls, look-alikes of special tokens and half characters.

Each of them is one token of its own beside 256 byte tokens, so that random sampling meets them
often, and so that what it writes is seldom what a tokenizer would make of the same text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from gateway_template import TEMPLATE
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SPECIALS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
OPEN, CLOSE = "<tool_call>\n", "\n</tool_call>"
CALLS = (
    '{"name": "add", "arguments": {"a": 1, "b": 2}}',
    '{"name": "add", "arguments": {"a": -1.50, "b": 1e3}}',
    '{"arguments": {"words": ["é", "日本", "\\u00e9\\n"]},  "name": "say"}',
    '{"name": "say", "arguments": {"words": [], "deep": {"x": [null, true, {}]}}}',
    '{"name": "say", "arguments": {}}',
    '{"name": "nobody", "arguments": {}}',
    '{"name": "add", "arguments": {"a": 1',
)
ODD = ("<|im_end|>", "<|im_start|>", "</s>", "<think>", "</think>", "  \n", "\n\n", "日本", "ab")
#: Found by the tokenizer in any text, though not special.
PIECES = (*(OPEN + call + CLOSE for call in CALLS), OPEN, CLOSE, *ODD)


def write_model(folder: Path, seed: int = 0) -> Path:
    """Write model, tokenizer and chat template to an empty folder."""
    tokenizer = make_tokenizer()
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for parameter in model.parameters():
        if parameter.dim() > 1:  # wide weights make log-probs that differ between tokens
            torch.nn.init.normal_(parameter, std=0.12)
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer() -> Any:
    """One token a byte, the special ones, and the pieces."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate([*SPECIALS, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=list(SPECIALS[2:]),
    )
    fast.add_tokens([AddedToken(one, normalized=False) for one in PIECES])
    fast.chat_template = TEMPLATE
    return fast
