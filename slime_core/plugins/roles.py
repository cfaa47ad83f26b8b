"""Step 4b: which plugin serves which hook: roles that one plugin fills, and weighted rewards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from slime_hookspecs import HOOKS, Cardinality, ConfigError, PluginError

from slime_core.config.schema import Config
from slime_core.plugins.names import entry_name, listed, suggestion
from slime_core.plugins.verify import VerifiedPlugin

#: Roles that exactly one plugin fills, with the name of their hook.
ROLES: Final = {
    info.role: name for name, info in HOOKS.items() if info.cardinality is Cardinality.EXACTLY_ONE
}

#: Who fills a role that no requested plugin offers. There is no default for data.
DEFAULTS: Final = {
    "generate": "slime-rl:single_turn",
    "advantage": "slime-rl:grpo",
    "token_advantage": "slime-rl:broadcast",
    "loss": "slime-rl:policy_loss",
}

_REWARDS: Final = tuple(
    name for name, info in HOOKS.items() if info.cardinality is Cardinality.WEIGHTED
)


def requested(config: Config) -> tuple[str, ...]:
    """Spellings of every plugin that the configuration names, in plan order."""
    return tuple(dict.fromkeys([*config.plugins, *chosen(config).values()]))


def chosen(config: Config) -> dict[str, str]:
    """The plugin that the configuration names for each role: ``use`` and its short forms.

    Raises:
        ConfigError: an entry is no ``ROLE=PLUGIN``, names no role, or contradicts another.
    """
    roles: dict[str, str] = {}
    for source, role, plugin in _choices(config):
        if role not in ROLES:
            raise ConfigError(
                f"{source}: there is no role {role!r}{suggestion(role, ROLES)}\n"
                f"  roles: {listed(ROLES)}"
            )
        if roles.setdefault(role, plugin) != plugin:
            raise ConfigError(
                f"{source}: the role {role} was already given to {roles[role]!r}; name one plugin"
            )
    return roles


def _choices(config: Config) -> Iterable[tuple[str, str, str]]:
    for text in config.use:
        role, equals, plugin = (part.strip() for part in text.partition("="))
        if not (role and equals and plugin):
            raise ConfigError(f"--use {text}: write ROLE=PLUGIN, as in --use generate=single_turn")
        yield f"--use {text}", role, plugin
    if config.advantage:
        yield f"--advantage {config.advantage}", "advantage", config.advantage
    if config.loss:
        yield f"--loss {config.loss}", "loss", config.loss


def assign(
    chosen_roles: Mapping[str, str], plugins: Sequence[VerifiedPlugin], full: Sequence[str]
) -> dict[str, str]:
    """The plugin's name for each role; a role that nobody offers is left out.

    Args:
        chosen_roles: What ``chosen`` returned.
        plugins: All plugins of the run.
        full: Names of the plugins that were asked for as a whole, not for one role.

    Raises:
        PluginError: a chosen plugin does not offer its role, or several offer one.
    """
    roles: dict[str, str] = {}
    for role, hook in ROLES.items():
        offering = [plugin for plugin in plugins if hook in plugin.hooks]
        if role in chosen_roles:
            roles[role] = _chosen_one(role, chosen_roles[role], plugins, offering)
        elif candidates := [plugin for plugin in offering if plugin.name in full]:
            roles[role] = _only_one(role, candidates)
    return roles


def _chosen_one(
    role: str,
    spelling: str,
    plugins: Sequence[VerifiedPlugin],
    offering: Sequence[VerifiedPlugin],
) -> str:
    name = entry_name(spelling)
    if any(plugin.name == name for plugin in offering):
        return name
    plugin = next(plugin for plugin in plugins if plugin.name == name)
    raise PluginError(
        f"--use {role}={spelling}: plugin {plugin.display} does not implement {ROLES[role]}\n"
        f"  it implements: {', '.join(plugin.hooks)}\n"
        f"  loaded plugins that do: {listed(one.name for one in offering)}"
    )


def _only_one(role: str, candidates: Sequence[VerifiedPlugin]) -> str:
    if len(candidates) == 1:
        return candidates[0].name
    lines = [f"  {plugin.display}: --use {role}={plugin.name}" for plugin in candidates]
    raise PluginError(
        "\n".join(
            [
                f"{len(candidates)} plugins implement {ROLES[role]}, which exactly one may; "
                f"pick one",
                *lines,
            ]
        )
    )


def weights(
    config: Config, plugins: Sequence[VerifiedPlugin], full: Sequence[str]
) -> dict[str, float]:
    """The weight of each plugin that gives rewards, 1 unless ``reward_weight`` says otherwise.

    Raises:
        ConfigError: an entry is no ``PLUGIN=WEIGHT``, or names a plugin without rewards.
    """
    found = {
        plugin.name: 1.0
        for plugin in plugins
        if plugin.name in full and any(name in plugin.hooks for name in _REWARDS)
    }
    given: dict[str, float] = {}
    for text in config.reward_weight:
        name, weight = _parse_weight(text)
        if name not in found:
            raise ConfigError(
                f"--reward-weight {text}: no loaded plugin {name!r} gives rewards"
                f"{suggestion(name, found)}\n  plugins with rewards: {listed(found)}"
            )
        if given.setdefault(name, weight) != weight:
            raise ConfigError(f"--reward-weight {text}: {name!r} already has {given[name]:g}")
    return found | given


def _parse_weight(text: str) -> tuple[str, float]:
    name, _, number = (part.strip() for part in text.rpartition("="))
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not name or not math.isfinite(weight):
        raise ConfigError(f"--reward-weight {text}: write PLUGIN=WEIGHT with a finite number")
    return entry_name(name), weight


def serving(
    plugin: VerifiedPlugin,
    roles: Mapping[str, str],
    reward_weights: Mapping[str, float],
    whole: bool,
) -> tuple[str, ...]:
    """Those hooks of a plugin that the run uses.

    A plugin that was named for a role only (``whole`` is false) serves that role, with its options,
    defaults and batch fields, and nothing else.
    """
    used = []
    for name in plugin.hooks:
        info = HOOKS[name]
        if info.cardinality is Cardinality.EXACTLY_ONE:
            serves = roles.get(info.role) == plugin.name
        elif info.cardinality is Cardinality.PER_PLUGIN or name == "slime_batch_fields":
            serves = True
        elif info.cardinality is Cardinality.WEIGHTED:
            serves = plugin.name in reward_weights
        else:
            serves = whole
        if serves:
            used.append(name)
    return tuple(used)
