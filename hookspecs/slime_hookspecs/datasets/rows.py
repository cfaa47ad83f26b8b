"""Rows of a data file: JSON Lines or Parquet, each with the place to name when it is wrong."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, final

from slime_hookspecs.errors import DataError

MAX_EXCERPT: Final = 60


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One row of a data file.

    Attributes:
        file: The file.
        number: Line of a JSON Lines file, row of a Parquet file; from 1.
        values: The row's columns.
    """

    file: Path
    number: int
    values: Mapping[str, Any]

    @property
    def place(self) -> str:
        """The place as ``file:number``."""
        return f"{self.file}:{self.number}"

    def get(self, column: str, option: str = "") -> Any:
        """The value of a column.

        Args:
            column: Name of the column.
            option: The flag that names another column, for messages; empty where none does.

        Raises:
            DataError: there is no such column; names the nearest, and the option.
        """
        if column in self.values:
            return self.values[column]
        known = ", ".join(map(repr, self.values)) or "nothing"
        near = difflib.get_close_matches(column, self.values, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        if option:
            hint += f" ({option} {near[0]})" if near else f"; {option} names it"
        raise DataError(f"{self.place}: no column {column!r} among {known}{hint}")

    def refuse(self, problem: str) -> NoReturn:
        """Raise a ``DataError`` that names the place."""
        raise DataError(f"{self.place}: {problem}")


def read_rows(path: Path) -> list[Row]:
    """All rows of a file, which must have at least one.

    Raises:
        DataError: the file is missing, empty, of an unknown kind, or a line of it is malformed.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file{_nearest_file(path)}")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        raise DataError(f"{path}: unknown kind of file {path.suffix!r}; the known ones are {known}")
    rows = list(reader(path))
    if not rows:
        raise DataError(f"{path}: the file has no rows")
    return rows


def excerpt(value: object) -> str:
    """The beginning of a value's repr, to show in a message."""
    text = repr(value)
    return text if len(text) <= MAX_EXCERPT else text[: MAX_EXCERPT - 3] + "..."


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent}"
    names = [entry.name for entry in path.parent.iterdir()]
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield Row(path, number, _parse_line(path, number, line))


def _parse_line(path: Path, number: int, line: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:  # malformed JSON and malformed UTF-8 alike
        found = excerpt(line.decode(errors="replace").strip())
        raise DataError(f"{path}:{number}: not a line of JSON ({error}); found {found}") from None
    if not isinstance(value, dict):
        found = excerpt(value)
        raise DataError(f"{path}:{number}: found {found}; each line must be a JSON object")
    return value


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise DataError(f"{path}: Parquet files need pyarrow: pip install pyarrow") from None
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        raise DataError(f"{path}: not a Parquet file ({error})") from None
    for number, values in enumerate(table.to_pylist(), 1):
        yield Row(path, number, values)


READERS: Final[dict[str, Callable[[Path], Iterator[Row]]]] = {
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
