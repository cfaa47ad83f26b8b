"""The metrics file: one JSON object a step, whole lines only, each step once."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, final

from slime_hookspecs.errors import DataError

Row = dict[str, Any]
"""``{"step": 3, "time": 1764000000.0, "reward/mean": 0.5, ...}``; a NaN or infinity is null."""


@final
class MetricsWriter:
    """Appends rows to ``metrics.jsonl``. A line is on its way to disk when ``append`` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _drop_torn_line(path)
        self._file = path.open("a", encoding="utf-8")

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write the row of a step.

        Args:
            step: Number of the step, from 0; -1 is what was measured before the first.
            metrics: All numbers of the step, by name.
        """
        row: Row = {"step": step, "time": round(time.time(), 3)}
        row |= {name: _finite(value) for name, value in metrics.items()}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def truncate_after(self, step: int) -> int:
        """Drop the rows of later steps, which a resumed run will do again.

        Args:
            step: Last step to keep; for a checkpoint after ``n`` steps that is ``n - 1``.

        Returns:
            Number of rows dropped.
        """
        rows = read_metrics(self._path)
        kept = [row for row in rows if row["step"] <= step]
        self._file.close()
        _rewrite(self._path, kept)
        self._file = self._path.open("a", encoding="utf-8")
        return len(rows) - len(kept)

    def close(self) -> None:
        """Close the file. Does nothing the second time."""
        self._file.close()

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_metrics(path: Path) -> list[Row]:
    """All whole rows, oldest first; none where there is no file.

    A last line that a crash tore is left out. A null is read as NaN.

    Raises:
        DataError: a line before the last is not a row.
    """
    if not path.is_file():
        return []
    return list(_rows(path, path.read_text("utf-8", errors="replace").splitlines()))


def series(rows: Iterable[Row], name: str) -> list[tuple[int, float]]:
    """Step and value of each row that has a finite value of this name."""
    return [
        (row["step"], float(row[name]))
        for row in rows
        if isinstance(row.get(name), int | float) and math.isfinite(row[name])
    ]


def names(rows: Iterable[Row]) -> list[str]:
    """Every metric's name, in the order of first appearance."""
    found = {name: None for row in rows for name in row}
    return [name for name in found if name not in ("step", "time")]


def _rows(path: Path, lines: list[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        row = _parse(line)
        if row is not None:
            yield {name: math.nan if value is None else value for name, value in row.items()}
        elif number < len(lines):
            raise DataError(f"{path}, line {number}: not a row of metrics: {line[:80]!r}")


def _parse(line: str) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def _finite(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _drop_torn_line(path: Path) -> None:
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(path, len(whole))


def _rewrite(path: Path, rows: list[Row]) -> None:
    partial = path.with_name(path.name + ".tmp")
    with partial.open("w", encoding="utf-8") as file:
        for row in rows:
            clean = {k: _finite(v) if isinstance(v, float) else v for k, v in row.items()}
            file.write(json.dumps(clean) + "\n")
    partial.replace(path)
