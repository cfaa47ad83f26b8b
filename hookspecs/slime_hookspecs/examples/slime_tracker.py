"""Writes the metrics of each step as a line of a CSV file."""

from collections.abc import Mapping
from pathlib import Path

from slime_hookspecs import RunInfo, hookimpl


class CsvTracker:
    def __init__(self, file: Path) -> None:
        self.file = file.open("a", encoding="utf-8")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in sorted(metrics.items()):
            self.file.write(f"{step},{name},{value}\n")
        self.file.flush()

    def close(self) -> None:
        self.file.close()


@hookimpl
def slime_tracker(run: RunInfo) -> CsvTracker:
    return CsvTracker(run.directory / "metrics.csv")
