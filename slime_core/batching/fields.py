"""The plugins' own columns: what ``sample.fields`` holds becomes ``batch[name]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from slime_hookspecs import BatchField, PluginError, Sample

from slime_core.batching.shards import Column

Columns = dict[str, Column]


def field_columns(
    samples: Sequence[Sample],
    lengths: Column,
    fields: Sequence[BatchField],
    owners: Mapping[str, str],
) -> tuple[Columns, Columns]:
    """Per-token columns and per-sample columns of the declared fields.

    Raises:
        PluginError: a required value is missing, or a value has a wrong shape or type.
    """
    per_token: Columns = {}
    per_sample: Columns = {}
    for field in fields:
        plugin = owners.get(field.name, "unknown")
        rows = [
            _value(plugin, field, sample, int(length))
            for sample, length in zip(samples, lengths, strict=True)
        ]
        if field.per == "token":
            per_token[field.name] = _joined(field, rows)
        else:
            empty = np.zeros((0, *field.shape), field.dtype)
            per_sample[field.name] = np.stack(rows) if rows else empty
    return per_token, per_sample


def _joined(field: BatchField, rows: list[Column]) -> Column:
    return np.concatenate([np.zeros((0, *field.shape), field.dtype), *rows])


def _value(plugin: str, field: BatchField, sample: Sample, length: int) -> Column:
    shape = (length, *field.shape) if field.per == "token" else field.shape
    value = sample.fields.get(field.name)
    if value is None:
        if field.default is None:
            raise PluginError(
                f"{_who(plugin, field, sample)}: not set, and it has no default; "
                f"set sample.fields[{field.name!r}] in a rollout hook, or declare a default"
            )
        return np.full(shape, field.default, dtype=field.dtype)
    return _checked(_array(plugin, field, sample, value), plugin, field, sample, shape)


def _array(plugin: str, field: BatchField, sample: Sample, value: Any) -> Column:
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise PluginError(
            f"{_who(plugin, field, sample)}: not an array of numbers ({error})"
        ) from error


def _checked(
    column: Column, plugin: str, field: BatchField, sample: Sample, shape: tuple[int, ...]
) -> Column:
    if column.shape != shape:
        unit = "one value a token" if field.per == "token" else "one value a sample"
        raise PluginError(
            f"{_who(plugin, field, sample)}: found shape {list(column.shape)}, "
            f"expected {list(shape)} ({unit})"
        )
    if column.size and not np.can_cast(column.dtype, field.dtype, "same_kind"):
        raise PluginError(
            f"{_who(plugin, field, sample)}: found {column.dtype} values, expected {field.dtype}"
        )
    return column.astype(field.dtype)


def _who(plugin: str, field: BatchField, sample: Sample) -> str:
    return f"plugin {plugin}, batch field {field.name!r}, sample {sample.index}"
