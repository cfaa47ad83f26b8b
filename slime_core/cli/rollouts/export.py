"""Writes chosen samples into a file: JSON lines as they were saved, or a Parquet table."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import msgspec
from slime_hookspecs.errors import ConfigError

from slime_core.cli.rollouts.rows import Row
from slime_core.rollout import files

FORMS: Final = (".jsonl", ".jsonl.zst", ".parquet")

#: Rows that are put into a Parquet file at once.
BATCH: Final = 256


def check(path: Path) -> None:
    """Refuse what cannot be written.

    Raises:
        ConfigError: its name says no form, or it is there already.
    """
    if not path.name.endswith(FORMS):
        raise ConfigError(f"--export {path}: the name must end in {', '.join(FORMS)}")
    if path.exists():
        raise ConfigError(f"--export {path}: is there already; give another name")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--export {path}: there is no folder {path.absolute().parent}")


def export(rows: Iterable[Row], path: Path) -> int:
    """Write the samples. Returns how many."""
    if path.suffix == ".parquet":
        return _parquet(iter(rows), path)
    with files.writing(path) as file:
        return sum(bool(file.write(row.line)) for row in rows)


def _parquet(rows: Any, path: Path) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--export {path}: Parquet needs the package pyarrow: pip install pyarrow; "
            "or export .jsonl.zst"
        ) from error
    schema = pa.schema([(name, _type(pa, kind)) for name, kind in COLUMNS.items()])
    count = 0
    partial = path.with_name(path.name + files.UNFINISHED)
    with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        while batch := [flat(row) for row in islice(rows, BATCH)]:
            writer.write_table(pa.Table.from_pylist(batch, schema))
            count += len(batch)
    partial.replace(path)
    return count


COLUMNS: Final = {
    **dict.fromkeys(("step", "weight_version", "group", "sample"), "int64"),
    **dict.fromkeys(("prompt_id", "messages", "label", "response", "stop", "fate"), "string"),
    **dict.fromkeys(("error", "rewards", "metadata"), "string"),
    **dict.fromkeys(("reward", "advantage", "queue_s", "generate_s", "reward_s"), "float64"),
    "tokens": "int32s",
    "loss_mask": "int8s",
    "logprobs": "float32s",
    "weight_versions": "int32s",
}
"""Columns of the table; what has no fixed shape is JSON. ``logprobs`` is 0 where none is known."""


def _type(pa: Any, kind: str) -> Any:
    return pa.list_(getattr(pa, kind[:-1])()) if kind.endswith("s") else getattr(pa, kind)()


def flat(row: Row) -> dict[str, Any]:
    """A sample as one line of the table."""
    segments = row.segments
    return {
        "step": row.step,
        "weight_version": row.weight_version,
        "group": row.group_index,
        "sample": row.index,
        "prompt_id": str(row.prompt.get("id")),
        "messages": _json(row.prompt.get("messages")),
        "label": _json(row.prompt.get("label")),
        "response": row.response,
        "stop": row.stop,
        "fate": row.fate,
        "error": None if row.error is None else _json(row.error),
        "rewards": _json(row.rewards),
        "metadata": _json(row.metadata),
        "reward": row.reward,
        "advantage": row.advantage,
        **{name: row.times.get(name) for name in ("queue_s", "generate_s", "reward_s")},
        "tokens": list(chain.from_iterable(s.tokens for s in segments)),
        "loss_mask": [int(s.kind in TRAINED_KINDS) for s in segments for _ in s.tokens],
        "logprobs": list(chain.from_iterable(map(_logprobs, segments))),
        "weight_versions": [s.weight_version for s in segments for _ in s.tokens],
    }


TRAINED_KINDS: Final = ("sampled", "demonstrated")


def _logprobs(segment: Any) -> list[float]:
    if not segment.logprobs:
        return [0.0] * len(segment.tokens)
    return [float("-inf") if p is None else p for p in segment.logprobs]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
