"""Sampling and training in turns: a round samples a whole dataset, then trains on it.

Each stage is a run of its own, of a command that anyone could type. A round's files::

    <out>/round_1/sample/    the run that samples; nothing is trained
    <out>/round_1/train.jsonl   what it accepted, each conversation once
    <out>/round_1/train/     the run that trains on it
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from slime_hookspecs import DataError

from slime_plugin_rejection_sampling.dataset import FILE

#: What ``slime`` is, in the environment of this package.
SLIME: Final[tuple[str, ...]] = (sys.executable, "-m", "slime_core.cli")


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """What the command was asked for.

    Attributes:
        out: Folder of all rounds.
        model: HF folder that the first round samples from.
        rounds: How many.
        epochs: Times that a round trains on each conversation.
        batch: Conversations in an update.
        start: Each training begins with the ``first`` model, or with the ``last`` round's.
        seed: Of the first round; the next ones count up.
        sampling: Options of the runs that sample.
        training: Options of the runs that train.
    """

    out: Path
    model: Path
    rounds: int = 1
    epochs: int = 2
    batch: int = 64
    start: str = "first"
    seed: int = 0
    sampling: tuple[str, ...] = ()
    training: tuple[str, ...] = ()

    def folder(self, number: int) -> Path:
        """Where a round, counted from 1, keeps its files."""
        return self.out / f"round_{number}"


def sampling_command(plan: Plan, number: int, model: Path) -> list[str]:
    """Samples with ``model`` and writes what is accepted."""
    return [
        *SLIME,
        *("--plugin", "rejection_sampling", "--debug-rollout-only"),
        *("--model", str(model), "--run-dir", str(plan.folder(number) / "sample")),
        *("--seed", str(plan.seed + number - 1)),
        *plan.sampling,
    ]


def training_command(plan: Plan, number: int, model: Path, rows: int) -> list[str]:
    """Trains ``model`` on the ``rows`` conversations that a round accepted."""
    batch = min(plan.batch, rows)
    return [
        *SLIME,
        *("--plugin", "sft", "--sft.data", str(plan.folder(number) / "train.jsonl")),
        *("--model", str(model), "--run-dir", str(plan.folder(number) / "train")),
        *("--seed", str(plan.seed + number - 1)),
        *("--rollout-prompts-per-step", str(batch)),
        *("--steps", str(math.ceil(plan.epochs * rows / batch))),
        *plan.training,
    ]


def gather(folder: Path) -> int:
    """Write a round's ``train.jsonl``: each accepted conversation once, however often it came.

    Returns:
        The number of its rows.

    Raises:
        DataError: nothing was accepted.
    """
    source = folder / "sample" / "plugins" / "rejection_sampling" / FILE
    lines = dict(_distinct(source)) if source.is_file() else {}
    if not lines:
        raise DataError(f"{source}: nothing was accepted, so there is nothing to train on")
    (folder / "train.jsonl").write_text("".join(lines.values()), "utf-8")
    return len(lines)


def outcome(run: Path) -> dict[str, object]:
    """The summary of a run that succeeded; empty where there is none."""
    file = run / "summary.json"
    found: dict[str, object] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return found if found.get("status") == "success" else {}


def split(arguments: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """This command's own arguments, those of sampling, and those of training: ``--`` parts them."""
    parts: list[list[str]] = [[]]
    for word in arguments:
        if word == "--" and len(parts) < 3:
            parts.append([])
        else:
            parts[-1].append(word)
    own, sampling, training = (*parts, [], [])[:3]
    return own, sampling, training


def _distinct(source: Path) -> Iterator[tuple[str, str]]:
    """Lines by what they say; of equal ones ``dict`` keeps the last."""
    with source.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield json.dumps([row["messages"], row.get("tools")], sort_keys=True), line
