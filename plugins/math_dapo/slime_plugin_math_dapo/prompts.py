"""Prompts from rows of a data file, each checked before anything costs time."""

from __future__ import annotations

from pathlib import Path

from slime_hookspecs import Prompt
from slime_hookspecs.datasets import Row, excerpt, label, messages, read_rows

from slime_plugin_math_dapo import verify
from slime_plugin_math_dapo.options import Options


def read_prompts(path: Path, options: Options) -> list[Prompt]:
    """All prompts of a file.

    Raises:
        DataError: the file or a row is wrong; names file, line, what was found, what is right.
    """
    return [_prompt(row, options) for row in read_rows(path)]


def _prompt(row: Row, options: Options) -> Prompt:
    option = "--math-dapo.prompt-column"
    return Prompt(
        id=f"{row.file.stem}/{row.number}",
        messages=messages(row, options.prompt_column, option, options.template),
        label=_label(row, options),
    )


def _label(row: Row, options: Options) -> str:
    column = options.label_column
    text = label(row, column, "--math-dapo.label-column")
    if not options.exact and not verify.parse_label(text):
        row.refuse(
            f"{column!r} is {excerpt(row.values[column])}, which math-verify cannot read; "
            "mend it, or compare answers as text: --math-dapo.verifier exact"
        )
    return text
