"""The columns that most tasks have: a prompt, and what is right."""

from __future__ import annotations

from typing import Any, Final

from slime_hookspecs.datasets.rows import Row, excerpt
from slime_hookspecs.records import Message

PLACEHOLDER: Final = "{prompt}"
"""What a template of prompts has in it."""


def messages(row: Row, column: str, option: str = "", template: str = PLACEHOLDER) -> list[Message]:
    """The conversation that a column holds: a text becomes one message of the user.

    Args:
        row: A row of a data file.
        column: Name of the column.
        option: The flag that names another column, for messages; empty where none does.
        template: Text around prompts that are texts, with ``{prompt}`` in it.

    Raises:
        DataError: there is no such column, or it holds something else.
    """
    given = row.get(column, option)
    if isinstance(given, str) and given.strip():
        return [{"role": "user", "content": template.replace(PLACEHOLDER, given)}]
    if isinstance(given, list) and given and all(map(_is_message, given)):
        return given
    return row.refuse(
        f"{column!r} is {excerpt(given)}; it must be a string that is not blank, "
        'or messages like [{"role": "user", "content": "1+1="}]'
    )


def label(row: Row, column: str, option: str = "") -> str:
    """The right answer that a column holds, as text without white space around it.

    Args:
        row: A row of a data file.
        column: Name of the column.
        option: The flag that names another column, for messages; empty where none does.

    Raises:
        DataError: there is no such column, or it holds neither a text nor a number.
    """
    given = row.get(column, option)
    if not isinstance(given, str | int | float) or isinstance(given, bool):
        row.refuse(f"{column!r} is {excerpt(given)}; it must be a string or a number")
    text = str(given).strip()
    if not text:
        row.refuse(f"{column!r} is {excerpt(given)}, which no answer can match")
    return text


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and isinstance(value.get("content"), str)
    )
