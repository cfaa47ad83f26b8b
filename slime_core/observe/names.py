"""Which metrics a person looks at first, and what they are called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

REWARD: Final = "reward/mean"
LOSS: Final = "train/loss"

PHASES: Final = ("rollout", "reward", "train", "wait", "sync", "checkpoint", "eval")
"""The parts of a step in their order; the metric of each is ``time/<phase>_s``."""


def finite(metrics: Mapping[str, Any], name: str) -> float | None:
    """Value of a metric that is there and finite."""
    value = metrics.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def is_scored(names: Iterable[str]) -> bool:
    """Whether a reward plugin is behind these metrics. Without one, as in SFT, the mean is 0."""
    return any(name.startswith("reward/") and name != REWARD for name in names)


def phase_times(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of each phase of a step, known phases first; ``time/step_s`` is their whole."""
    found = {
        name.removeprefix("time/").removesuffix("_s"): float(value)
        for name, value in metrics.items()
        if name.startswith("time/") and name.endswith("_s") and isinstance(value, int | float)
    }
    whole = ("step", "total")
    known = [phase for phase in PHASES if phase in found]
    return {p: found[p] for p in [*known, *(p for p in found if p not in (*known, *whole))]}


def tokens_per_s(metrics: Mapping[str, Any]) -> float | None:
    """Sampled tokens a second of rollout; trained ones a second where nothing is sampled."""
    return finite(metrics, "rollout/tokens_per_s") or finite(metrics, "train/tokens_per_s")
