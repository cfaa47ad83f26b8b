"""Gives each scored sample its advantage."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from slime_hookspecs import AnyContext, Group, PluginError

from slime_core.plugins import BoundHook
from slime_core.rollout.blame import blame


def set_advantages(group: Group, hook: BoundHook, context: AnyContext) -> None:
    """Set ``advantage`` of ``group.scored``.

    Raises:
        PluginError: their number is wrong or one is not finite. Exceptions of the plugin pass.
    """
    scored = group.scored
    try:
        values = list(hook.call(group, context))
        _check(values, len(scored), hook, group)
    except Exception as error:
        blame(error, hook, f"group {group.index}")
        raise
    for sample, value in zip(scored, values, strict=True):
        sample.advantage = float(value)


def _check(values: list[Any], count: int, hook: BoundHook, group: Group) -> None:
    where = f"plugin {hook.plugin}, slime_advantage, group {group.index}"
    if len(values) != count:
        raise PluginError(
            f"{where}: {len(values)} advantages for {count} scored samples; "
            "return one for each of group.scored, in their order"
        )
    for place, value in enumerate(values):
        if type(value) is float and math.isfinite(value):
            continue
        if not isinstance(value, Real) or not math.isfinite(value):
            raise PluginError(
                f"{where}: advantage {place} is {value!r}; it must be a finite number"
            )
