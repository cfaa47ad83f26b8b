"""Which metrics a person looks at first, and what they are called."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

REWARD: Final = ("reward/mean", "reward/total", "reward/value")
TOKENS_PER_S: Final = ("rollout/tokens_per_s", "rollout/generated_tokens_per_s")
RESPONSE_TOKENS: Final = ("rollout/response_tokens", "rollout/tokens", "rollout/sampled_tokens")

PHASES: Final = ("rollout", "reward", "train", "sync", "checkpoint", "eval")
"""The parts of a step in their order; the metric of each is ``time/<phase>_s``."""


def first_of(metrics: Mapping[str, Any], candidates: tuple[str, ...]) -> float | None:
    """Value of the first of these metrics that is there and finite."""
    for name in candidates:
        value = metrics.get(name)
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    return None


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
    """Generated tokens a second of rollout, as reported or as computed."""
    reported = first_of(metrics, TOKENS_PER_S)
    if reported is not None:
        return reported
    tokens, seconds = first_of(metrics, RESPONSE_TOKENS), first_of(metrics, ("time/rollout_s",))
    return tokens / seconds if tokens and seconds else None
