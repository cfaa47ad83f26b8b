"""What a reward hook may return, made uniform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

from slime_hookspecs import PluginError, Reward


def as_reward(value: Any) -> Reward:
    """A ``Reward`` from what a hook returned.

    Raises:
        PluginError: it is neither a finite number nor a ``Reward`` of one.
    """
    if type(value) is float and math.isfinite(value):
        return Reward(value)
    reward = value if isinstance(value, Reward) else Reward(_number(value))
    if not isinstance(reward.value, Real) or not math.isfinite(reward.value):
        raise PluginError(f"the reward is {reward.value!r}; it must be a finite number")
    return reward


def as_rewards(values: Any, count: int) -> list[Reward]:
    """One ``Reward`` for each of ``count`` samples.

    Raises:
        PluginError: their number is wrong, or one is not a finite number.
    """
    if not isinstance(values, Sequence) or len(values) != count:
        found = f"{len(values)} values" if isinstance(values, Sequence) else type(values).__name__
        raise PluginError(
            f"the group reward returned {found}; it must be one value for each of {count} samples"
        )
    return [as_reward(value) for value in values]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise PluginError(
            f"the reward is {value!r}, a {type(value).__name__}; it must be a number or a Reward"
        ) from None
