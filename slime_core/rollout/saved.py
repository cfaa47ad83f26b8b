"""Rollouts on disk, one JSON row a sample: what a step trained on, to read and to replay."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import msgspec
from slime_hookspecs import DataError, Group, Rollout, Sample

from slime_core.rollout.rows import sample_from_dict, sample_to_dict

VERSION: Final = 1


def path_of(folder: Path, step: int) -> Path:
    """The file of a step, e.g. ``step_000012.jsonl``."""
    return folder / f"step_{step:06d}.jsonl"


def save(folder: Path, rollout: Rollout) -> Path:
    """Write a rollout; the file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(folder, rollout.step)
    partial = path.with_suffix(".tmp")
    encoder = msgspec.json.Encoder(enc_hook=_plain)
    with partial.open("wb") as file:
        for row in _rows(rollout):
            file.write(encoder.encode(row) + b"\n")
    partial.replace(path)
    return path


def load(folder: Path, step: int) -> Rollout:
    """Read a rollout that ``save`` wrote.

    Raises:
        DataError: the file is not there, or a line of it is wrong.
    """
    path = path_of(folder, step)
    if not path.is_file():
        found = sorted(file.name for file in folder.glob("step_*.jsonl"))
        there = f"{found[0]} to {found[-1]}" if found else "no saved rollouts"
        raise DataError(f"{path}: no rollout of step {step} was saved; the folder holds {there}")
    rows = [_row(path, number, line) for number, line in _lines(path)]
    groups = [
        _group(index, list(members)) for index, members in groupby(rows, lambda s: s.group_index)
    ]
    return Rollout(step, groups, _version(path))


def _rows(rollout: Rollout) -> Iterator[dict[str, Any]]:
    head = {
        "format": VERSION,
        "step": rollout.step,
        "weight_version": rollout.weight_version,
    }
    for group in rollout.groups:
        for sample in group.samples:
            yield head | sample_to_dict(sample)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        yield from enumerate(file, start=1)


def _row(path: Path, number: int, line: bytes) -> Sample:
    try:
        return sample_from_dict(msgspec.json.decode(line))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}, line {number}: not a saved sample ({type(error).__name__}: {error})"
        ) from error


def _version(path: Path) -> int:
    with path.open("rb") as file:
        line = file.readline()
    return int(msgspec.json.decode(line)["weight_version"]) if line else 0


def _group(index: int, samples: list[Sample]) -> Group:
    return Group(index, samples[0].prompt, samples)


def _plain(value: Any) -> Any:
    """Arrays and tensors as lists; anything else as text, because saving must not end a run."""
    return value.tolist() if hasattr(value, "tolist") else repr(value)
