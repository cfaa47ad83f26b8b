"""Reads settings from a TOML file, or from the JSON file that a run directory keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from slime_core.config.fail import config_error
from slime_core.config.layers import Layer, layer_from_tree


def _parser(path: Path) -> Callable[[str], Any]:
    if path.suffix == ".json":
        import json

        return json.loads
    import tomllib

    return tomllib.loads


def without_nulls(value: Any) -> Any:
    """The value without the keys that JSON says are null: those that were left unset."""
    if not isinstance(value, dict):
        return value
    return {k: without_nulls(v) for k, v in value.items() if v is not None}


def read_tree(path: Path) -> dict[str, Any]:
    """The nested mapping in a TOML or JSON file.

    Raises:
        ConfigError: The file cannot be read, or is not TOML or JSON.
    """
    try:
        tree = _parser(path)(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise config_error(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # of both parsers, and of bytes that are not UTF-8
        raise config_error(f"{path}: {error}") from None
    if not isinstance(tree, dict):
        raise config_error(f"{path}: expected a table of settings, found {tree!r}")
    return dict(without_nulls(tree))


def read_layer(path: Path, source: str = "") -> Layer:
    """The settings in a file; ``source`` is what messages call it, the path by default."""
    return layer_from_tree(read_tree(path), source or str(path))
