"""Questions from rows of a data file, each checked before anything costs time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from slime_hookspecs import Prompt
from slime_hookspecs.datasets import Row, excerpt, read_rows

from slime_plugin_search_r1.options import PLACEHOLDER, Options

#: What Search-R1 tells the model (https://arxiv.org/abs/2503.09516, table 1).
TEMPLATE: Final = (
    "Answer the given question. You must conduct reasoning inside <think> and </think> first "
    "every time you get new information. After reasoning, if you find you lack some knowledge, "
    "you can call a search engine by <search> query </search> and it will return the top searched "
    "results between <information> and </information>. You can search as many times as you want. "
    "If you find no further external knowledge needed, you can directly provide the answer inside "
    "<answer> and </answer>, without detailed illustrations. For example, "
    "<answer> Beijing </answer>. Question: {question}\n"
)


def read_questions(paths: Sequence[str], options: Options) -> list[Prompt]:
    """All questions of some files, in their order.

    Raises:
        DataError: a file or a row is wrong; names file, line, what was found, what is right.
    """
    rows = [row for path in paths for row in read_rows(Path(path))]
    return [_prompt(row, options) for row in rows]


def _prompt(row: Row, options: Options) -> Prompt:
    question = row.get(options.question_column, "--search-r1.question-column")
    if not isinstance(question, str) or not question.strip():
        row.refuse(
            f"{options.question_column!r} is {excerpt(question)}; it must be a text that is not "
            f"blank"
        )
    content = (options.template or TEMPLATE).replace(PLACEHOLDER, question.strip())
    return Prompt(
        id=f"{row.file}/{row.number}",
        messages=[{"role": "user", "content": content}],
        label=_golden(row, options),
    )


def _golden(row: Row, options: Options) -> list[str]:
    given = row.get(options.answers_column, "--search-r1.answers-column")
    golden = given if isinstance(given, list) else [given]
    if not golden or not all(map(_is_answer, golden)):
        row.refuse(
            f"{options.answers_column!r} is {excerpt(given)}; it must be a right answer, or a list "
            f'of them, like ["Paris", "City of Paris"]'
        )
    return [str(one).strip() for one in golden]


def _is_answer(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    return bool(str(value).strip())
