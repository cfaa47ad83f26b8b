"""Prompts from data files: a task a row, with its label, metadata and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from statistics import fmean
from typing import Any

from slime_hookspecs import ConfigError, EvalSet, Group, Prompt
from slime_hookspecs.datasets import Row, excerpt, messages, read_rows

from slime_plugin_agent_blackbox.folders import FILES
from slime_plugin_agent_blackbox.options import Options

PROMPT_OPTION = "--agent-blackbox.prompt-column"


def prompts(options: Options) -> list[Prompt]:
    """The tasks to train on.

    Raises:
        ConfigError: there is neither a file nor a built-in task.
        DataError: a row is wrong.
    """
    if options.task:
        from slime_plugin_agent_blackbox.examples import sums

        return sums.prompts(held_out=False)
    if not options.data:
        raise ConfigError(
            "agent_blackbox has no data; name a file with --agent-blackbox.data, or the built-in "
            "task with --agent-blackbox.task sums"
        )
    return from_file(Path(options.data), options)


def eval_sets(options: Options) -> list[EvalSet]:
    """A set for each held-out file."""
    found = [(Path(one).stem, from_file(Path(one), options)) for one in options.eval_data]
    if options.task and not found:
        from slime_plugin_agent_blackbox.examples import sums

        found = [(options.task, sums.prompts(held_out=True))]
    k = options.eval_samples_per_prompt
    return [EvalSet(_safe(name), rows, k, metrics=measured) for name, rows in found]


def measured(groups: Sequence[Group]) -> Mapping[str, float]:
    """Means of all the numbers that rewards came with."""
    parts: dict[str, list[float]] = {}
    for group in groups:
        for sample in group.scored:
            for reward in sample.rewards.values():
                for name, value in reward.metrics.items():
                    parts.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in parts.items()}


def from_file(path: Path, options: Options) -> list[Prompt]:
    """The tasks of a file.

    Raises:
        DataError: a row is wrong; names file and line.
    """
    return [_prompt(row, options) for row in read_rows(path)]


def _prompt(row: Row, options: Options) -> Prompt:
    metadata = row.values.get("metadata") or {}
    if not isinstance(metadata, dict):
        row.refuse(f"'metadata' is {excerpt(metadata)}; it must be an object")
    files = _files(row)
    return Prompt(
        id=f"{row.file.stem}/{row.number}",
        messages=messages(row, options.prompt_column, PROMPT_OPTION),
        label=_label(row, options.label_column),
        metadata={**metadata, FILES: files} if files else dict(metadata),
    )


def _label(row: Row, column: str) -> Any:
    """What the reward needs to know: any value. Only a column that the user named must exist."""
    if column == Options().label_column:
        return row.values.get(column)
    return row.get(column, "--agent-blackbox.label-column")


def _files(row: Row) -> dict[str, Any]:
    given = row.values.get("files") or {}
    if not isinstance(given, dict):
        row.refuse(f"'files' is {excerpt(given)}; it must be an object, of texts by path")
    return {name: _file(row, name, value) for name, value in given.items() if value is not None}


def _file(row: Row, name: str, value: Any) -> Any:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
        row.refuse(f"'files' has {excerpt(name)}; a path must stay in the agent's folder")
    if isinstance(value, str):
        return value
    if not (isinstance(value, dict) and isinstance(value.get("from"), str)):
        row.refuse(
            f"'files' has {excerpt(value)} for {name!r}; it must be a text, or "
            '{"from": "a path beside the data file"}'
        )
    source = (row.file.parent / value["from"]).absolute()
    if not source.exists():
        row.refuse(f"'files' has {name!r} from {value['from']!r}, and there is no {source}")
    return {"from": str(source)}


def _safe(name: str) -> str:
    return "".join(one if one.isalnum() else "_" for one in name)
