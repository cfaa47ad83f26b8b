"""Each sample's reward less the mean reward of the others: leave one out."""

from slime_hookspecs import Group, hookimpl


@hookimpl
def slime_advantage(group: Group) -> list[float]:
    rewards = [sample.reward or 0.0 for sample in group.scored]
    others = max(1, len(rewards) - 1)
    return [reward - (sum(rewards) - reward) / others for reward in rewards]
