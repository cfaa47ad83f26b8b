"""The plugin host: find -> check -> load -> bind, four pure steps over frozen values.

::

    find()              installed entry points, nothing imported
    load(names)         check each from metadata, then import it
    bind(config, ...)   verify against the contract, choose, freeze -> Plan, Bound
    bind_plan(plan)     the same hooks in another process

Names are imported when they are first used, so that listing plugins costs no more than reading
their metadata.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from slime_core.plugins.binding import bind, bind_plan, observe_plan
    from slime_core.plugins.bound import Bound, BoundHook, note
    from slime_core.plugins.defaults import collect_defaults
    from slime_core.plugins.environment import with_environment
    from slime_core.plugins.finding import find
    from slime_core.plugins.installed import Plugin
    from slime_core.plugins.loading import LoadedPlugin, load
    from slime_core.plugins.options import build_options, options_type
    from slime_core.plugins.paths import with_absolute_paths
    from slime_core.plugins.plan import Plan, PlannedPlugin, compare, differences
    from slime_core.plugins.policy import Policy
    from slime_core.plugins.requirements import check
    from slime_core.plugins.roles import ROLES, requested
    from slime_core.plugins.verify import implementations

__all__ = [
    "ROLES",
    "Bound",
    "BoundHook",
    "LoadedPlugin",
    "Plan",
    "PlannedPlugin",
    "Plugin",
    "Policy",
    "bind",
    "bind_plan",
    "build_options",
    "check",
    "collect_defaults",
    "compare",
    "differences",
    "find",
    "implementations",
    "load",
    "note",
    "observe_plan",
    "options_type",
    "requested",
    "with_absolute_paths",
    "with_environment",
]

#: The module of each name. None of them has the name of a function: importing it would hide that.
_HOMES: Final = {
    "binding": ("bind", "bind_plan", "observe_plan"),
    "bound": ("Bound", "BoundHook", "note"),
    "defaults": ("collect_defaults",),
    "environment": ("with_environment",),
    "finding": ("find",),
    "installed": ("Plugin",),
    "loading": ("LoadedPlugin", "load"),
    "options": ("build_options", "options_type"),
    "paths": ("with_absolute_paths",),
    "plan": ("Plan", "PlannedPlugin", "compare", "differences"),
    "policy": ("Policy",),
    "requirements": ("check",),
    "roles": ("ROLES", "requested"),
    "verify": ("implementations",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
