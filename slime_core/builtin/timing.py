"""Seconds that generation and rewards take, a sample: mean, a percentile and the longest, a step.

``sample.metadata["timing"]`` gets ``generate_s`` and ``reward_s``, waiting included; the metrics
are ``timing/generate_s_mean``, ``..._p95``, ``..._max`` and the same of ``reward_s``. Attempts of
one sample, and its rewards, add up. Percentiles are nearest ranks: values that were measured.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from slime_hookspecs import (
    ConfigError,
    Context,
    Engine,
    NextGenerate,
    NextReward,
    Reward,
    Rollout,
    Sample,
    hookimpl,
)

KEY: Final = "timing"
PHASES: Final = ("generate_s", "reward_s")


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``timing``.

    Attributes:
        percentile: Which percentile to report.
    """

    percentile: int = field(
        default=95, metadata={"help": "percentile to report beside mean and longest, 1 to 99"}
    )

    def __post_init__(self) -> None:
        """Refuse what is no percentile."""
        if not 1 <= self.percentile <= 99:
            raise ConfigError(f"timing.percentile is {self.percentile}; it must be from 1 to 99")


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
async def slime_wrap_generate(
    call_next: NextGenerate, sample: Sample, engine: Engine
) -> Sample | list[Sample]:
    """Time an episode; siblings that come of it carry the same time."""
    with _timed(sample, "generate_s"):
        answer = await call_next(sample, engine)
    for sibling in answer if isinstance(answer, list) else [answer]:
        if sibling is not sample:
            sibling.metadata[KEY] = dict(sample.metadata[KEY])
    return answer


@hookimpl
async def slime_wrap_reward(call_next: NextReward, sample: Sample) -> float | Reward:
    """Time one reward."""
    with _timed(sample, "reward_s"):
        return await call_next(sample)


@hookimpl
def slime_on_rollout(rollout: Rollout, ctx: Context[Options]) -> None:
    """Report the times of the step's samples; none where no sample has any."""
    percentile = ctx.options.percentile
    timed = [sample.metadata.get(KEY, {}) for group in rollout.groups for sample in group.samples]
    for phase in PHASES:
        if seconds := [times[phase] for times in timed if phase in times]:
            rollout.metrics[f"timing/{phase}_mean"] = math.fsum(seconds) / len(seconds)
            rollout.metrics[f"timing/{phase}_p{percentile}"] = nearest_rank(seconds, percentile)
            rollout.metrics[f"timing/{phase}_max"] = max(seconds)


def nearest_rank(values: Sequence[float], percentile: int) -> float:
    """The smallest value that is not below ``percentile`` of 100 of them."""
    return sorted(values)[math.ceil(len(values) * percentile / 100) - 1]


@contextmanager
def _timed(sample: Sample, phase: str) -> Iterator[None]:
    """Adds the seconds within to the sample, however they end."""
    start = time.perf_counter()
    try:
        yield
    finally:
        times = sample.metadata.setdefault(KEY, {})
        times[phase] = times.get(phase, 0.0) + time.perf_counter() - start
