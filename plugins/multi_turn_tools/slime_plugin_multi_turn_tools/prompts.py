"""Prompts from rows of a data file, each checked before anything costs time."""

from __future__ import annotations

from pathlib import Path

from slime_hookspecs import Prompt
from slime_hookspecs.datasets import Row, label, messages, read_rows

from slime_plugin_multi_turn_tools.options import Options


def read_prompts(path: Path, options: Options) -> list[Prompt]:
    """All prompts of a file.

    Raises:
        DataError: the file or a row is wrong; names file, line, what was found, what is right.
    """
    return [_prompt(row, options) for row in read_rows(path)]


def _prompt(row: Row, options: Options) -> Prompt:
    asked = "--multi-turn-tools.prompt-column"
    return Prompt(
        id=f"{row.file.stem}/{row.number}",
        messages=messages(row, options.prompt_column, asked, options.template),
        label=label(row, options.label_column, "--multi-turn-tools.label-column"),
    )
