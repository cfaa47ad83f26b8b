"""Keeps what a step's samples went through beside their tokens: times, losses, the timeline.

A timeline of every sample would be too large to open, so that a step shows two kinds of samples:
the first that began, whatever became of them, and the slowest. How many it left out stands there.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any, Final, final

from slime_hookspecs import Sample

from slime_core.observe.timeline import Timeline
from slime_core.rollout.flights import Place
from slime_core.rollout.outcomes import Outcome
from slime_core.rollout.times import Times

#: Samples of lost groups that a step keeps to be saved.
MOST_LOST: Final = 128


@final
@dataclass(frozen=True, slots=True)
class Record:
    """What a step has to tell beside its samples.

    Attributes:
        times: Of each sample, by its index.
        lost: Groups that failed, the first of them.
    """

    times: dict[int, Times] = field(default_factory=dict)
    lost: list[Outcome] = field(default_factory=list)


@final
class Recorder:
    """Told of each sample as it begins and ends; hands out what it knows once a step.

    Args:
        timeline: Where spans go.
        samples: Samples whose spans a step shows, half of them the slowest.
        patience: Steps after which the times of a sample that no step took are forgotten.
    """

    def __init__(
        self, timeline: Timeline | None = None, samples: int = 0, patience: int = 1
    ) -> None:
        self._timeline = timeline or Timeline(None)
        self._most = samples if self._timeline.on else 0
        self._patience = patience
        self._taken = 0
        self._times: dict[int, tuple[int, Times]] = {}
        self._lost: list[Outcome] = []
        self._open_step()

    def begin(self, place: Place) -> None:
        """A sample's turn has come."""
        place.times.begin()
        if self._begun < self._most - self._most // 2:
            self._shown.add(place.sample.index)
        self._begun += 1

    def done(self, place: Place) -> None:
        """A sample has its rewards, or failed."""
        place.times.end_rewards()
        for sample in place.answer:
            self._times[sample.index] = self._taken, place.times
        if self._most:
            self._show_or_hold(place)

    def ended(self, outcome: Outcome) -> None:
        """A group has ended."""
        if outcome.fate == "failed":
            if sum(len(one.group.samples) for one in self._lost) < MOST_LOST:
                self._lost.append(outcome)
        elif outcome.fate == "filtered":
            for sample in outcome.group.samples:
                self._times.pop(sample.index, None)

    def take(self, samples: list[Sample]) -> Record:
        """What is known of the samples of a step, which ends with this.

        Args:
            samples: All that the step trains on.
        """
        self._write_slowest()
        lost, self._lost = self._lost, []
        wanted = [*samples, *(sample for one in lost for sample in one.group.samples)]
        known = {s.index: self._times.pop(s.index) for s in wanted if s.index in self._times}
        self._taken += 1
        oldest = self._taken - self._patience
        self._times = {i: held for i, held in self._times.items() if held[0] >= oldest}
        return Record({index: times for index, (_, times) in known.items()}, lost)

    def _open_step(self) -> None:
        self._begun = self._done = 0
        self._shown: set[int] = set()
        self._slowest: list[tuple[float, int, Place]] = []

    def _show_or_hold(self, place: Place) -> None:
        self._done += 1
        if place.sample.index in self._shown:
            self._shown.discard(place.sample.index)
            self._show(place)
            return
        seconds = place.times.scored - place.times.began
        heapq.heappush(self._slowest, (seconds, place.sample.index, place))
        if len(self._slowest) > self._most // 2:
            heapq.heappop(self._slowest)

    def _write_slowest(self) -> None:
        if self._most:
            for _, _, place in sorted(self._slowest, key=lambda one: one[2].times.began):
                self._show(place)
            shown = min(self._done, self._most)
            left_out = f"{self._done} samples ended; spans of {shown}: the first and the slowest"
            self._timeline.instant(left_out)
            self._timeline.flush()
        self._open_step()

    def _show(self, place: Place) -> None:
        times, sample = place.times, place.answer[0]
        name = f"sample {sample.index}"
        span = self._timeline.span
        span("generate", name, times.began, times.generated, **_told(sample, place))
        if times.scored > times.generated:
            span("reward", name, times.generated, times.scored, reward=sample.reward)


def _told(sample: Sample, place: Place) -> dict[str, Any]:
    told = {
        "sample": sample.index,
        "group": sample.group_index,
        "tokens": sample.trace.sampled_length,
        "stop": sample.stop.value,
        "queue_s": round(place.times.queue_s, 3),
    }
    return told if sample.error is None else told | {"error": str(sample.error)}
