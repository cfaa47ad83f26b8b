"""Divides nothing by nothing on an empty response."""

from __future__ import annotations

from slime_hookspecs import DataError, Group, Sample, hookimpl


def score(sample: Sample) -> float:
    """1 where the response is right."""
    if not isinstance(sample.prompt.label, str):
        raise DataError(f"prompt {sample.prompt.id}: its label is {sample.prompt.label!r}")
    correct = float("42" in sample.response)
    return correct / len(sample.response) if sample.response else float("nan")


@hookimpl
def slime_group_reward(group: Group) -> list[float]:
    """1 for each response that is right."""
    return [score(sample) for sample in group.samples]
