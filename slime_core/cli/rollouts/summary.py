"""One line a step: samples, rewards, lengths, what failed and why, and how old the weights were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

from slime_core.cli.plugins.render import table
from slime_core.cli.rollouts.rows import TRAINED, Row
from slime_core.cli.rollouts.texts import number

CUT_OFF: Final = ("length", "context")
LOST: Final = ("prompts/failed/", "prompts/filtered/")


@final
@dataclass(slots=True)
class Step:
    """Sums over one step's samples, those of failed groups included."""

    step: int
    samples: int = 0
    groups: set[int] = field(default_factory=set)
    rewards: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    cut_off: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    lost: dict[str, float] = field(default_factory=dict)
    staleness: float | None = None

    def add(self, row: Row) -> None:
        """Count a sample."""
        self.samples += 1
        self.groups.add(row.group_index)
        if row.failed:
            self.failures[row.why] += 1
        elif row.reward is not None and row.fate == TRAINED:
            self.rewards.append(row.reward)
        self.lengths.append(row.length)
        self.cut_off += row.stop in CUT_OFF

    def know(self, metrics: Mapping[str, Any]) -> None:
        """What the run's metrics say of prompts that were lost, and of staleness."""
        self.staleness = metrics.get("staleness/mean")
        self.lost = {
            name.removeprefix("prompts/"): count
            for name, count in metrics.items()
            if name.startswith(LOST) and count
        }

    def values(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "step": self.step,
            "samples": self.samples,
            "groups": len(self.groups),
            "reward_mean": _mean(self.rewards),
            "length_mean": _mean(self.lengths),
            "length_max": max(self.lengths, default=None),
            "cut_off": self.cut_off,
            "failures": dict(self.failures),
            "prompts_lost": self.lost,
            "staleness_mean": self.staleness,
        }


def summarise(rows: Iterable[Row], metrics: Mapping[int, Mapping[str, Any]]) -> list[Step]:
    """The steps, ascending.

    Args:
        rows: Of all samples.
        metrics: The run's, by step.
    """
    steps: dict[int, Step] = {}
    for row in rows:
        steps.setdefault(row.step, Step(row.step)).add(row)
    for number_, step in steps.items():
        step.know(metrics.get(number_, {}))
    return [step for _, step in sorted(steps.items())]


def rendered(steps: Iterable[Step]) -> str:
    """The table."""
    return table(_lines(steps))


def _lines(steps: Iterable[Step]) -> Iterator[tuple[str, ...]]:
    yield "STEP", "SAMPLES", "GROUPS", "REWARD", "LENGTH", "LONGEST", "CUT OFF", "STALE", "LOST"
    for step in steps:
        yield (
            *(str(step.step), str(step.samples), str(len(step.groups))),
            *(number(_mean(step.rewards)), number(_mean(step.lengths))),
            str(max(step.lengths, default=0)),
            *(str(step.cut_off), number(step.staleness)),
            "; ".join(_lost(step)),
        )


def _lost(step: Step) -> Iterator[str]:
    for why, count in step.failures.most_common():
        yield f"{count} sample{'s' if count > 1 else ''}: {why}"
    for fate, groups in step.lost.items():
        yield f"{groups:g} group{'s' if groups > 1 else ''} {fate}"


def _mean(values: list[float] | list[int]) -> float | None:
    return sum(values) / len(values) if values else None
