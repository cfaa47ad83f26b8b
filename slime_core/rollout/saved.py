"""Rollouts on disk, one JSON row a sample: what a step trained on, to read and to replay.

Rows of groups that failed stand there too, with their fate, so that it can be seen why. Log-probs
that are float32, as servers send them, are written as such, with half the digits.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import orjson
from slime_hookspecs import DataError, Group, Rollout, Sample, Trace

from slime_core.rollout import files
from slime_core.rollout.files import Format, path_of
from slime_core.rollout.outcomes import Outcome
from slime_core.rollout.rows import sample_from_dict, sample_to_dict
from slime_core.rollout.times import Times

VERSION: Final = 2
TRAINED: Final = "trained"

__all__ = ["load", "path_of", "save"]


def save(
    folder: Path,
    rollout: Rollout,
    form: Format = "jsonl.zst",
    *,
    times: Mapping[int, Times] | None = None,
    lost: Sequence[Outcome] = (),
) -> Path:
    """Write a rollout; the file appears whole or not at all.

    Args:
        folder: Where; made if it is not there.
        rollout: What a step trains on.
        form: How.
        times: What each sample waited for, by its index.
        lost: Groups that are not trained on, to be seen but not replayed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(folder, rollout.step, form)
    encoder = msgspec.json.Encoder(enc_hook=_plain)
    with files.writing(path) as file:
        for row in _rows(rollout, times or {}, lost):
            file.write(encoder.encode(row) + b"\n")
    return path


def load(folder: Path, step: int) -> Rollout:
    """Read a rollout that ``save`` wrote.

    Raises:
        DataError: the file is not there, or a line of it is wrong.
    """
    there = files.found(folder)
    if step not in there:
        names = [path.name for path in there.values()]
        shown = f"{names[0]} to {names[-1]}" if names else "no saved rollouts"
        raise DataError(f"{folder}: no rollout of step {step} was saved; the folder holds {shown}")
    version, samples = 0, []
    for number, line in enumerate(files.lines(there[step]), start=1):
        row, sample = _read(there[step], number, line)
        version = row["weight_version"]
        if row.get("fate", TRAINED) == TRAINED:
            samples.append(sample)
    groups = [_group(i, list(members)) for i, members in groupby(samples, lambda s: s.group_index)]
    return Rollout(step, groups, version)


def _rows(
    rollout: Rollout, times: Mapping[int, Times], lost: Iterable[Outcome]
) -> Iterator[dict[str, Any]]:
    head = {"format": VERSION, "step": rollout.step, "weight_version": rollout.weight_version}
    kept = ((TRAINED, group) for group in rollout.groups)
    failed = ((f"{outcome.fate}/{outcome.reason}", outcome.group) for outcome in lost)
    for fate, group in chain(kept, failed):
        for sample in group.samples:
            told = {"fate": fate, "lengths": lengths(sample.trace)}
            if sample.index in times:
                told["times"] = times[sample.index].to_dict()
            row = head | told | sample_to_dict(sample)
            yield row | {"trace": [_compact(segment) for segment in row["trace"]]}


def lengths(trace: Trace) -> dict[str, int]:
    """Tokens of each kind."""
    found: Counter[str] = Counter()
    for segment in trace.segments:
        found[segment.kind] += len(segment.tokens)
    return dict(found)


def _compact(segment: dict[str, Any]) -> dict[str, Any]:
    narrow = array("f", segment["logprobs"])
    if not narrow or narrow.tolist() != segment["logprobs"]:
        return segment
    digits = orjson.dumps(np.frombuffer(narrow, np.float32), option=orjson.OPT_SERIALIZE_NUMPY)
    return segment | {"logprobs": msgspec.Raw(digits), "float32": True}


def _read(path: Path, number: int, line: bytes) -> tuple[dict[str, Any], Sample]:
    try:
        row: dict[str, Any] = msgspec.json.decode(line)
        for segment in row["trace"]:
            if segment.pop("float32", False):
                segment["logprobs"] = float32(segment["logprobs"])
        return row, sample_from_dict(row)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        cut = "" if line.endswith(b"\n") else "; the file was cut off here"
        raise DataError(
            f"{path}, line {number}: not a saved sample ({type(error).__name__}: {error}){cut}"
        ) from error


def float32(values: Iterable[float | None]) -> list[float]:
    """The float32 numbers that were written with as many digits as tell them apart."""
    return array("f", [-math.inf if v is None else v for v in values]).tolist()


def _group(index: int, samples: list[Sample]) -> Group:
    return Group(index, samples[0].prompt, samples)


def _plain(value: Any) -> Any:
    """Arrays and tensors as lists; anything else as text, because saving must not end a run."""
    return value.tolist() if hasattr(value, "tolist") else repr(value)
