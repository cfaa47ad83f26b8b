"""A bonus for the shortest responses of a group."""

from slime_hookspecs import Group, hookimpl


@hookimpl
def slime_group_reward(group: Group) -> list[float]:
    lengths = [len(sample.response) for sample in group.samples]
    return [float(length == min(lengths)) for length in lengths]
