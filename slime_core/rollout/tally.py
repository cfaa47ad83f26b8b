"""Running means over a step's samples, dropped groups included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, final

from slime_hookspecs import Group, Sample, StopReason

TRUNCATED: Final = frozenset({StopReason.LENGTH, StopReason.CONTEXT})


@final
class Tally:
    """Sums of what is reported as means over scored samples."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)
        self.sampled_tokens = 0

    def add(self, group: Group) -> None:
        """Count a group that ended."""
        for sample in group.samples:
            self.sampled_tokens += sample.trace.sampled_length
            if sample.error is None and sample.reward is not None:
                self._add_scored(sample, sample.reward)

    def metrics(self) -> dict[str, float]:
        """Each mean by name."""
        return {name: total / self._counts[name] for name, total in self._sums.items()}

    def _add_scored(self, sample: Sample, reward: float) -> None:
        sums, counts = self._sums, self._counts
        for name, value in _numbers(sample, reward):
            sums[name] += value
            counts[name] += 1


def _numbers(sample: Sample, reward: float) -> Iterator[tuple[str, float]]:
    yield "reward/mean", reward
    yield "rollout/response_tokens_mean", len(sample.trace) - sample.trace.prompt_length
    yield "rollout/truncated_fraction", sample.stop in TRUNCATED
    for plugin, part in sample.rewards.items():
        yield f"reward/{plugin}", part.value
        for name, value in part.metrics.items():
            yield f"reward/{plugin}/{name}", value
