"""The plugin host: find -> check -> load -> bind, four pure steps over frozen values.

::

    find()              installed entry points, nothing imported
    load(names)         check each from metadata, then import it
    bind(config, ...)   verify against the contract, choose, freeze -> Plan, Bound
    bind_plan(plan)     the same hooks in another process
"""

from slime_core.plugins.bind import bind, bind_plan, observe_plan
from slime_core.plugins.bound import Bound, BoundHook, note
from slime_core.plugins.check import check
from slime_core.plugins.defaults import collect_defaults
from slime_core.plugins.find import find
from slime_core.plugins.installed import Plugin
from slime_core.plugins.load import LoadedPlugin, load
from slime_core.plugins.options import build_options, options_type
from slime_core.plugins.plan import Plan, PlannedPlugin, compare, differences
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
]
