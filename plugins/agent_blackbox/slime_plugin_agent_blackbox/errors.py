"""What can go wrong with one agent; each costs its sample, which is masked and counted."""

from __future__ import annotations

from slime_hookspecs import RunError


class AgentFailed(RunError):  # noqa: N818
    """An agent could not be started, crashed, or ended with a status that says it failed."""


class AgentTimedOut(AgentFailed):
    """An agent took more than its time."""


class NoCall(AgentFailed):
    """An agent ended without an answer of the model, so there is nothing to train on."""


class RewardFailed(AgentFailed):
    """An agent's reward is missing, or is no reward."""
