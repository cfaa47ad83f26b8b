"""Divides by the number of samples of a rollout that may have none."""

from __future__ import annotations

from slime_hookspecs import Rollout, hookimpl


@hookimpl
def slime_on_rollout(rollout: Rollout) -> None:
    """Mean length of a trace."""
    lengths = [len(sample.trace) for group in rollout.groups for sample in group.scored]
    rollout.metrics["zoo/length"] = sum(lengths) / len(lengths)
