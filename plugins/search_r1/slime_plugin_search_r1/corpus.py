"""Passages from a JSON Lines file, whose bad lines are counted and named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias, final

from slime_hookspecs import DataError
from slime_hookspecs.datasets import excerpt

from slime_plugin_search_r1.passages import Passage, read_passage

#: Told how much of how much is done.
Progress: TypeAlias = Callable[[int, int], None]

#: A longer line is no passage; nothing that long is worth showing to a model.
MAX_LINE_BYTES: Final = 1 << 20
#: Bad lines that an error quotes.
SHOWN: Final = 5


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


@final
class Corpus:
    """The passages of a file, read once from first to last.

    Args:
        path: Rows as ``read_passage`` says.
        max_bad_lines: Bad lines to leave out; one more is an error.
        progress: Told bytes read and bytes in all.

    Attributes:
        bad: The first bad lines so far, with their places.
        bad_lines: How many there were so far.
        good_lines: How many passages there were so far.
    """

    def __init__(self, path: Path, max_bad_lines: int = 0, progress: Progress = silent) -> None:
        self.path = path
        self.bad: list[str] = []
        self.bad_lines = 0
        self.good_lines = 0
        self._max_bad_lines = max_bad_lines
        self._progress = progress

    def __iter__(self) -> Iterator[Passage]:
        """All passages.

        Raises:
            DataError: there is no such file, no passage, or more bad lines than there may be.
        """
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file")
        for number, line in self._lines():
            found = _parse(line, number)
            if isinstance(found, Passage):
                self.good_lines += 1
                yield found
            else:
                self._leave_out(number, found)
        if not self.good_lines:
            raise DataError("\n  ".join([f"{self.path}: the file has no passages", *self.bad]))

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        total, done = self.path.stat().st_size, 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                done += len(line)
                self._progress(done, total)
                if line.strip():
                    yield number, line

    def _leave_out(self, number: int, problem: str) -> None:
        self.bad_lines += 1
        if len(self.bad) < SHOWN:
            self.bad.append(f"{self.path}:{number}: {problem}")
        if self.bad_lines > self._max_bad_lines:
            most = f"{self._max_bad_lines} {'is' if self._max_bad_lines == 1 else 'are'} allowed"
            what = f"{self.path}: {self.bad_lines} of {number} lines are bad, and {most}"
            raise DataError("\n  ".join([what, *self.bad]))


def _parse(line: bytes, number: int) -> Passage | str:
    if len(line) > MAX_LINE_BYTES:
        return f"{len(line)} bytes long; a passage has {MAX_LINE_BYTES} at most"
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        found = excerpt(line.decode(errors="replace").strip())
        return f"not a line of JSON ({error}); found {found}"
    if not isinstance(row, dict):
        return f"found {excerpt(row)}; each line must be a JSON object"
    return read_passage(row, number)
