"""How long requests to the servers take: percentiles, and a histogram that adds up over steps."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, final

PREFIX: Final = "latency/requests/"
"""Metrics ``latency/requests/<s>``: requests that took up to ``s`` seconds, and more than the
bound before it."""

_MANTISSAS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
BOUNDS: Final = tuple(float(f"{m * 10.0**e:g}") for e in range(-3, 4) for m in _MANTISSAS)
"""Seconds, 1 ms to 7000 s; evenly spaced on a logarithmic axis but for rounding."""


@final
class Latencies:
    """Requests since the last ``take``. One is a call of ``Engine.generate``, from the call to the
    answer: retries and the wait for new weights are in it; what was aborted is not counted."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._speeds: list[float] = []
        self._first_token_s: list[float] = []

    def add(self, seconds: float, tokens: int) -> None:
        """A request was answered."""
        self._seconds.append(seconds)
        if tokens and seconds > 0:
            self._speeds.append(tokens / seconds)

    def add_first_token(self, seconds: float) -> None:
        """The server said how long the first token took it."""
        self._first_token_s.append(seconds)

    def take(self) -> dict[str, float]:
        """Metrics of the requests since the last call; none where there were none."""
        metrics = {
            **_percentiles("latency/request_s", self._seconds, (50, 90, 99, 100)),
            **_percentiles("latency/first_token_s", self._first_token_s, (50, 90, 99)),
            **_percentiles("latency/tokens_per_s", self._speeds, (1, 10, 50)),
            **{f"{PREFIX}{bound:g}": float(n) for bound, n in _counted(self._seconds)},
        }
        for values in (self._seconds, self._speeds, self._first_token_s):
            values.clear()
        return metrics


def nearest_rank(ordered: Sequence[float], percent: float) -> float:
    """The smallest of ascending values that is not below ``percent`` of 100 of them."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _percentiles(name: str, values: list[float], percents: Sequence[int]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    names = {percent: "max" if percent == 100 else f"p{percent}" for percent in percents}
    return {f"{name}_{names[percent]}": nearest_rank(ordered, percent) for percent in percents}


def _counted(values: Sequence[float]) -> Iterator[tuple[float, int]]:
    """Bounds below which values lie, ascending, with how many; beyond the last is infinity."""
    counts = Counter(bisect_left(BOUNDS, value) for value in values)
    for place, count in sorted(counts.items()):
        yield BOUNDS[place] if place < len(BOUNDS) else math.inf, count
