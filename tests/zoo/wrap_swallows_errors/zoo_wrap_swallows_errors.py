"""Makes every failure of a reward a reward of zero."""

from __future__ import annotations

from slime_hookspecs import NextReward, Reward, Sample, hookimpl


@hookimpl
async def slime_wrap_reward(call_next: NextReward, sample: Sample) -> float | Reward:
    """The reward, or nothing."""
    try:
        return await call_next(sample)
    except Exception:
        return 0.0
