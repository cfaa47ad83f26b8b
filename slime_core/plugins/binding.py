"""Step 4: from loaded plugins and a configuration to a frozen plan and callables, and back.

bind         configuration + loaded plugins -> plan + bound hooks   (driver)
bind_plan    plan -> bound hooks                                    (every other process)
observe_plan plan -> the plan as this machine would run it          (to compare)
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from slime_hookspecs import API_VERSION, HOOKS, Cardinality, ConfigError, PluginError

from slime_core.config.schema import Config
from slime_core.plugins import environment, installed, roles
from slime_core.plugins.bound import Bound, BoundHook, adapt
from slime_core.plugins.code import code_digest
from slime_core.plugins.defaults import collect_defaults
from slime_core.plugins.fields import batch_fields
from slime_core.plugins.finding import find, pick
from slime_core.plugins.loading import LoadedPlugin, load, load_exactly, refuse_namesakes
from slime_core.plugins.names import entry_name, listed, suggestion
from slime_core.plugins.options import build_options, options_type, public_options, secret_names
from slime_core.plugins.plan import Plan, PlannedPlugin, differences
from slime_core.plugins.policy import Policy
from slime_core.plugins.requirements import refuse_conflicts
from slime_core.plugins.verify import VerifiedPlugin, verify

_FIELDS = "slime_batch_fields"

Tables = Mapping[str, Mapping[str, Any]]


def bind(config: Config, loaded: Sequence[LoadedPlugin]) -> tuple[Plan, Bound]:
    """Decide who serves which hook, and freeze it.

    Loads what is still missing: plugins that ``use`` names for a role, and the built-in one for
    each role that no requested plugin offers. A plugin that is named for a role and not in
    ``plugins`` serves that role only.

    Raises:
        PluginError: a plugin breaks the contract, or several offer one role.
        ConfigError: a role, weight or option is wrong.
    """
    chosen = roles.chosen(config)
    role_only = {entry_name(one) for one in chosen.values()} - set(map(entry_name, config.plugins))
    asked = roles.requested(config)
    policy = Policy.of(config.block, config.locked, config.trust, asked)
    plugins = [verify(one) for one in _load_more(loaded, asked, policy)]
    whole = [plugin.name for plugin in plugins if plugin.name not in role_only]
    filled = roles.assign(chosen, plugins, whole)
    defaults = {role: one for role, one in roles.DEFAULTS.items() if role not in filled}
    present = [plugin.loaded for plugin in plugins]
    plugins += [
        verify(one) for one in _load_more(present, defaults.values(), policy)[len(present) :]
    ]
    filled |= {role: entry_name(one) for role, one in defaults.items()}
    weights = roles.weights(config, plugins, whole)
    options = _options(config, loaded, plugins)
    plan = Plan(
        api=API_VERSION,
        plugins=tuple(
            _planned(plugin, roles.serving(plugin, filled, weights, plugin.name in whole))
            for plugin in plugins
        ),
        roles=filled,
        weights=weights,
        options={one.name: public_options(one.loaded, options[one.name]) for one in plugins},
    )
    return plan, _freeze(plan, plugins, options)


def bind_plan(plan: Plan, secrets: Tables | None = None) -> Bound:
    """Load the plugins of a plan by distribution, in its order, and bind the same hooks.

    Args:
        plan: What ``bind`` decided, in whatever process.
        secrets: The configuration's plugin tables, read for secret options only: a plan has none.

    Raises:
        PluginError: a plugin is not installed here, does not offer what the plan needs, or is not
            the one that the plan was made with.
    """
    plugins = [verify(load_exactly(one.distribution, one.name)) for one in plan.plugins]
    for planned, plugin in zip(plan.plugins, plugins, strict=True):
        if missing := [hook for hook in planned.hooks if hook not in plugin.hooks]:
            raise PluginError(
                f"plugin {plugin.display} does not implement {', '.join(missing)}, which the plan "
                f"has from {planned.distribution} {planned.version}"
            )
    _refuse_others(plan, _observed(plan, plugins))
    options = {one.name: _planned_options(plan, one, secrets or {}) for one in plugins}
    return _freeze(plan, plugins, options)


def observe_plan(plan: Plan) -> Plan:
    """The same plan with versions, origins, code and hooks as they are on this machine.

    Its fingerprint is that of ``plan`` if, and only if, the same would run here.
    """
    plugins = [verify(load_exactly(one.distribution, one.name)) for one in plan.plugins]
    return _observed(plan, plugins)


def _observed(plan: Plan, plugins: Sequence[VerifiedPlugin]) -> Plan:
    observed = tuple(
        _planned(plugin, tuple(hook for hook in planned.hooks if hook in plugin.hooks))
        for planned, plugin in zip(plan.plugins, plugins, strict=True)
    )
    return replace(plan, api=API_VERSION, plugins=observed)


def _refuse_others(plan: Plan, observed: Plan) -> None:
    """Raise ``PluginError`` with this machine's name and each difference from the plan."""
    lines = [f"  {line}" for line in differences(plan, observed)]
    if lines:
        planned = {one.name: one for one in plan.plugins}
        other = [planned[one.name] for one in observed.plugins if one != planned[one.name]]
        wanted = " ".join(f"{one.distribution}=={one.version}" for one in other)
        wanted = wanted or f"'slime-hookspecs=={plan.api}.*'"
        raise PluginError(
            "\n".join(
                [
                    f"node {socket.gethostname()} ({sys.prefix}) does not have the plugins of the "
                    f"run; the run's stand on the left, its own on the right",
                    *lines,
                    f"  to install the same there: pip install --force-reinstall {wanted}",
                ]
            )
        )


def _load_more(
    loaded: Sequence[LoadedPlugin], spellings: Iterable[str], policy: Policy
) -> list[LoadedPlugin]:
    """The loaded plugins, then those of the spellings that are not among them."""
    found = find()
    wanted = dict.fromkeys(pick(spelling, found, policy.blocks) for spelling in spellings)
    present = {one.plugin for one in loaded}
    together = list(dict.fromkeys([*(one.plugin for one in loaded), *wanted]))
    refuse_namesakes(together)
    refuse_conflicts(together)
    missing = [plugin.spelling for plugin in wanted if plugin not in present]
    return [*loaded, *load(missing, found, policy)]


def _options(
    config: Config, loaded: Sequence[LoadedPlugin], plugins: Sequence[VerifiedPlugin]
) -> dict[str, Any]:
    names = {plugin.name for plugin in plugins}
    # A task may suggest options for a loss that the user then replaced: no mistake of the user's.
    suggested = collect_defaults(loaded).get("plugin", {})
    for name, table in config.plugin.items():
        idle = table == suggested.get(name) or environment.explains(name, table)
        if name not in names and not idle:
            raise ConfigError(
                f"[plugin.{name}]: this run has no plugin {name!r}{suggestion(name, names)}\n"
                f"  plugins of this run: {listed(names)}; to add it: --plugin {name}"
            )
    return {
        one.name: build_options(one.loaded, config.plugin.get(one.name, {}), anchored=True)
        for one in plugins
    }


def _planned_options(plan: Plan, plugin: VerifiedPlugin, secrets: Tables) -> Any:
    hidden = secret_names(options_type(plugin.loaded))
    given = {key: value for key, value in secrets.get(plugin.name, {}).items() if key in hidden}
    return build_options(plugin.loaded, {**plan.options.get(plugin.name, {}), **given})


def _planned(verified: VerifiedPlugin, hooks: tuple[str, ...]) -> PlannedPlugin:
    plugin = verified.loaded.plugin
    return PlannedPlugin(
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        value=plugin.value,
        origin=installed.origin(plugin.distribution),
        code=code_digest(plugin),
        hooks=hooks,
    )


def _freeze(plan: Plan, plugins: Sequence[VerifiedPlugin], options: Mapping[str, Any]) -> Bound:
    hooks: dict[str, tuple[BoundHook, ...]] = {}
    for planned, plugin in zip(plan.plugins, plugins, strict=True):
        for name in planned.hooks:
            bound = _bound(plugin, name, options[plugin.name], plan.weights)
            hooks[name] = (*hooks.get(name, ()), bound)
    fields = batch_fields(
        [one for one in plugins if any(one.name == h.plugin for h in hooks.get(_FIELDS, ()))]
    )
    owners = {field.name: plugin for plugin, field in fields}
    return Bound(hooks, tuple(field for _, field in fields), dict(options), owners)


def _bound(
    plugin: VerifiedPlugin, name: str, options: Any, weights: Mapping[str, float]
) -> BoundHook:
    implementation = plugin.hooks[name]
    weighted = HOOKS[name].cardinality is Cardinality.WEIGHTED
    return BoundHook(
        plugin=plugin.name,
        version=plugin.loaded.plugin.version,
        hook=name,
        options=options,
        is_async=implementation.is_async,
        weight=weights[plugin.name] if weighted else 1.0,
        function=implementation.function,
        call=adapt(implementation),
    )
