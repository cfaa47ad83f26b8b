"""A task that wants eight samples a prompt and a higher upper clip, unless the user says more."""

from typing import Any

from slime_hookspecs import hookimpl


@hookimpl
def slime_defaults() -> dict[str, Any]:
    return {
        "rollout": {"samples_per_prompt": 8},
        "plugin": {"policy_loss": {"clip_high": 0.28}},
    }
