"""What the rollout reads from the model's folder: its tokenizer and its context length."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slime_hookspecs import ConfigError

from slime_core.config.schema import Config
from slime_core.engine.parsing import Parsers


def load_tokenizer(model: Path) -> Any:
    """The tokenizer, in its fast form where there is one.

    Raises:
        ConfigError: the folder has none that loads.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(model))
    except Exception as error:
        raise ConfigError(
            f"--model {model}: no tokenizer loads from this folder ({type(error).__name__}: "
            f"{error}); it must hold tokenizer.json or what the model's tokenizer needs"
        ) from error


def parsers(config: Config) -> Parsers:
    """What finds tool calls and reasoning: the parsers that the servers are told to use."""
    names = {
        name: value
        for name in ("tool_call_parser", "reasoning_parser")
        if (value := config.sglang.get(name) or config.sglang.get(name.replace("_", "-")))
    }
    return Parsers(names.get("tool_call_parser"), names.get("reasoning_parser"))


def context_length(config: Config, model: Path) -> int:
    """Most tokens of prompt and response together: what the servers are told, else the model's.

    Raises:
        ConfigError: neither says.
    """
    for name in ("context_length", "context-length"):
        if config.sglang.get(name):
            return int(config.sglang[name])
    hf_config = _read_config(model)
    for part in (hf_config, hf_config.get("text_config") or {}):
        if "max_position_embeddings" in part:
            return int(part["max_position_embeddings"])
    raise ConfigError(
        f"--model {model}: config.json has no max_position_embeddings; "
        "say how long the context is with --sglang-context-length"
    )


def _read_config(model: Path) -> Mapping[str, Any]:
    try:
        loaded: dict[str, Any] = json.loads((model / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"--model {model}: cannot read config.json: {error}") from error
    return loaded
