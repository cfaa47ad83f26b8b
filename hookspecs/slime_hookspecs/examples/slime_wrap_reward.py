"""Keeps every reward within -1 and 1, and what it reports as it is."""

from slime_hookspecs import NextReward, Reward, Sample, hookimpl


@hookimpl
async def slime_wrap_reward(call_next: NextReward, sample: Sample) -> Reward:
    given = await call_next(sample)
    reward = given if isinstance(given, Reward) else Reward(given)
    return Reward(max(-1.0, min(1.0, reward.value)), reward.metrics)
