"""Keeps the length of the response that it is about to reward in the module."""

from __future__ import annotations

from slime_hookspecs import NextReward, Reward, Sample, hookimpl

seen = {"number": 0.0}


@hookimpl
async def slime_wrap_reward(call_next: NextReward, sample: Sample) -> Reward:
    """The reward, with a metric beside it."""
    seen["number"] = float(sample.index)
    value = await call_next(sample)
    reward = value if isinstance(value, Reward) else Reward(value)
    return Reward(reward.value, {**reward.metrics, "number": seen["number"]})
