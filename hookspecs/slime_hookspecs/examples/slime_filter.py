"""A group whose rewards are all equal teaches nothing, and is dropped."""

from slime_hookspecs import KEEP, Group, Verdict, hookimpl


@hookimpl
def slime_filter(group: Group) -> Verdict:
    rewards = {sample.reward for sample in group.scored}
    return KEEP if len(rewards) > 1 else Verdict(keep=False, reason="zero_variance")
