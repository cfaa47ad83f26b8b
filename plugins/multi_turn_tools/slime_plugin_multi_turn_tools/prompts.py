"""Prompts from rows of a data file, each checked before anything costs time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slime_hookspecs import Message, Prompt
from slime_hookspecs.datasets import Row, excerpt, read_rows

from slime_plugin_multi_turn_tools.options import PLACEHOLDER, Options


def read_prompts(path: Path, options: Options) -> list[Prompt]:
    """All prompts of a file.

    Raises:
        DataError: the file or a row is wrong; names file, line, what was found, what is right.
    """
    return [_prompt(row, options) for row in read_rows(path)]


def _prompt(row: Row, options: Options) -> Prompt:
    given = row.get(options.prompt_column, "--multi-turn-tools.prompt-column")
    label = row.get(options.label_column, "--multi-turn-tools.label-column")
    return Prompt(
        id=f"{row.file.stem}/{row.number}",
        messages=_messages(row, given, options),
        label=_label(row, label, options),
    )


def _messages(row: Row, given: Any, options: Options) -> list[Message]:
    if isinstance(given, str) and given.strip():
        content = options.template.replace(PLACEHOLDER, given)
        return [{"role": "user", "content": content}]
    if isinstance(given, list) and given and all(map(_is_message, given)):
        return given
    return row.refuse(
        f"{options.prompt_column!r} is {excerpt(given)}; it must be a string that is not blank, "
        'or messages like [{"role": "user", "content": "12*34="}]'
    )


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and isinstance(value.get("content"), str)
    )


def _label(row: Row, given: Any, options: Options) -> str:
    if not isinstance(given, str | int | float) or isinstance(given, bool):
        row.refuse(f"{options.label_column!r} is {excerpt(given)}; it must be a string or a number")
    label = str(given).strip()
    if not label:
        row.refuse(f"{options.label_column!r} is {excerpt(given)}, which no answer can match")
    return label
