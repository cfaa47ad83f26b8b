"""Keeps every sample, for a report that is never written."""

from __future__ import annotations

from slime_hookspecs import Sample, hookimpl

seen: list[Sample] = []


@hookimpl
def slime_reward(sample: Sample) -> float:
    """1 where the response is right."""
    seen.append(sample)
    return float(str(sample.prompt.label) in sample.response)
