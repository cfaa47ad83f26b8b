"""Writes settings as TOML, each line with the source of its value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from slime_core.config.settings import PASS_THROUGH, Key, section_types


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _name(name: str) -> str:
    return name if name.replace("_", "").isalnum() and name.isascii() else _text(name)


def value(given: Any) -> str:
    """One TOML value, on one line."""
    if isinstance(given, Mapping):
        inner = ", ".join(f"{_name(k)} = {value(v)}" for k, v in given.items())
        return f"{{{inner}}}"
    if isinstance(given, list | tuple):
        return f"[{', '.join(value(v) for v in given)}]"
    if isinstance(given, str):
        return _text(given)
    return repr(given).lower() if isinstance(given, bool) else repr(given)


def _lines(table: Key, values: Mapping[str, Any], sources: Mapping[Key, str]) -> Iterator[str]:
    if table:
        yield ""
        yield f"[{'.'.join(_name(part) for part in table)}]"
    for name, given in values.items():
        line = f"{_name(name)} = {value(given)}"
        source = sources.get((*table, name))
        yield f"{line:<48}  # {source}" if source else line


def document(tree: Mapping[str, Any], sources: Mapping[Key, str]) -> str:
    """A configuration as ``to_dict`` gives it, as a TOML file with sources as comments."""
    sections = (*section_types(), *PASS_THROUGH)
    top = {k: v for k, v in tree.items() if k not in (*sections, "plugin")}
    lines = list(_lines((), top, sources))
    for name in sections:
        if tree.get(name):
            lines += _lines((name,), tree[name], sources)
    for name, options in tree.get("plugin", {}).items():
        lines += _lines(("plugin", name), options, sources)
    return "\n".join(lines) + "\n"
