"""Adds a text to the rollout's metrics."""

from __future__ import annotations

from slime_hookspecs import Rollout, hookimpl


@hookimpl
def slime_on_rollout(rollout: Rollout) -> None:
    """How many groups there are."""
    rollout.metrics["zoo/groups"] = f"{len(rollout.groups)} groups"  # type: ignore[assignment]
