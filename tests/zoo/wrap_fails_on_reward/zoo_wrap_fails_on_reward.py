"""Halves a reward, and fails where it is a Reward and not a float."""

from __future__ import annotations

from typing import Any

from slime_hookspecs import NextReward, Sample, hookimpl


@hookimpl
async def slime_wrap_reward(call_next: NextReward, sample: Sample) -> Any:
    """Half of what it was."""
    value: Any = await call_next(sample)
    return value / 2
