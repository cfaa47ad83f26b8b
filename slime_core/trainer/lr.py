"""The learning rate of each optimizer update."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final

from slime_core.config.schema import Config


@final
@dataclass(frozen=True, slots=True)
class LearningRate:
    """A linear warm-up, then constant, linear or cosine decay.

    Attributes:
        kind: What follows the warm-up.
        warmup: Updates until the full rate is reached; the first update already trains.
        total: Updates of the whole run.
        min_ratio: Last rate over the full one, for linear and cosine.
    """

    kind: Literal["constant", "linear", "cosine"]
    warmup: int
    total: int
    min_ratio: float

    def factor(self, update: int) -> float:
        """Part of the full rate that update number ``update``, from 0, takes."""
        if update < self.warmup:
            return (update + 1) / self.warmup
        if self.kind == "constant":
            return 1.0
        done = min(1.0, (update - self.warmup) / max(1, self.total - 1 - self.warmup))
        left = 1.0 - done if self.kind == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
        return self.min_ratio + (1.0 - self.min_ratio) * left


def learning_rate(config: Config) -> LearningRate:
    """The schedule that the run asks for."""
    train = config.train
    total = config.steps * train.updates_per_step
    return LearningRate(train.lr_schedule, train.lr_warmup, total, train.lr_min_ratio)
