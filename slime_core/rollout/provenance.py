"""Which code filled which role, in words that travel with samples, rollouts and summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from slime_core.plugins import BoundHook, Plan

#: Digits of a code's sha256 that tell it from others; ``plan.json`` has all of them.
CODE_DIGITS: Final = 12


def origins(plan: Plan) -> dict[str, str]:
    """Distribution, version and code of each plugin: ``task (my-task 1.0, code 3f9a2b1c4d5e)``."""
    return {
        one.name: f"{one.name} ({one.distribution} {one.version}, code {one.code[:CODE_DIGITS]})"
        for one in plan.plugins
    }


def by_role(hooks: Mapping[str, Sequence[BoundHook]], known: Mapping[str, str]) -> dict[str, str]:
    """What ``Sample.provenance`` holds: who fills each role, in plan order; idle roles are absent.

    Args:
        hooks: The hooks of each role.
        known: Origins by plugin; of others only the version is said.
    """
    return {
        role: ", ".join(known.get(hook.plugin, f"{hook.plugin} {hook.version}") for hook in serving)
        for role, serving in hooks.items()
        if serving
    }
