"""``slime --dry-run``: the resolved configuration, the plan and the placement; starts nothing.

What is printed is a TOML file that ``--config`` takes. Options of plugins that nobody set are in it
as comments: their defaults are the plugins' own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slime_core import config
from slime_core.cli import toml
from slime_core.cli.machine import visible_gpus
from slime_core.cli.wording import count
from slime_core.config.settings import Key
from slime_core.launch import Launch

if TYPE_CHECKING:
    from slime_core.plugins import LoadedPlugin


def _defaults_by_plugin(loaded: Sequence[LoadedPlugin]) -> dict[Key, str]:
    from slime_core.plugins import collect_defaults

    empty = config.Raw()
    return {
        key: f"default of {plugin.name}"
        for plugin in loaded
        for key in config.provenance(empty, collect_defaults([plugin]))
    }


def sources(raw: config.Raw, loaded: Sequence[LoadedPlugin]) -> dict[Key, str]:
    """Where each value that is not a core default came from, as the TOML table wants it."""
    named = {} if raw.resume else _defaults_by_plugin(loaded)
    explicit = config.provenance(raw, {})
    found = {**named, **{key: sourced.source for key, sourced in explicit.items()}}
    for name in ("use", "reward_weight"):
        parts = [f"{k[1]}: {source}" for k, source in sorted(found.items()) if k[0] == name]
        if parts:
            found[(name,)] = ", ".join(parts)
    return found


def secrets(loaded: Sequence[LoadedPlugin]) -> set[Key]:
    """Options that must never be written anywhere."""
    from slime_core.plugins.options import options_type, secret_names

    names = ((plugin.name, secret_names(options_type(plugin))) for plugin in loaded)
    return {("plugin", plugin, field) for plugin, fields in names for field in fields}


def placement(resolved: config.Config, gpus: int) -> Iterator[str]:
    """How many processes of which kind there will be, and what they run on."""
    from slime_core.placement.layout import plan_layout

    train = resolved.train
    layout = plan_layout(resolved, gpus=gpus)
    ranks, servers = len(layout.ranks), len(layout.servers)
    by = f" = tp {train.tp} x pp {train.pp} x dp {train.dp}" if ranks else ""
    yield f"trainer   {count(ranks, 'rank')}{by}"
    router = f" of tp {resolved.engine.tp}, and a router" if servers else ""
    yield f"servers   {count(servers, 'server')}{router}"
    shared = ", shared by trainer and servers" if resolved.colocate else ""
    kind = "GPU" if layout.accelerated else "CPU"
    where = resolved.ray_address or "this machine"
    yield f"devices   {count(layout.bundles, kind)}{shared}, on {where}"


def plan_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    """The frozen plugins in plan order, with version and hooks, then who serves each role."""
    for number, plugin in enumerate(plan["plugins"], start=1):
        hooks = ", ".join(hook.removeprefix("slime_") for hook in plugin["hooks"])
        name = f"{plugin['name']} ({plugin['distribution']} {plugin['version']})"
        yield f"{number}. {name}: {hooks or 'no hooks'}"
    for role, served in plan["roles"].items():
        yield f"{role} = {served}"


def unset_options(launch: Launch) -> Iterator[str]:
    """The options of the run's plugins that nobody set, secrets left out, with their defaults."""
    from dataclasses import fields

    from slime_core.plugins.options import is_secret, to_json

    for plugin, options in launch.bound.plugin_options.items():
        given = launch.config.plugin.get(plugin, {})
        known = [] if options is None else [f for f in fields(options) if f.init]
        unset = [f.name for f in known if f.name not in given and not is_secret(f)]
        if unset:
            yield f"[plugin.{plugin}]"
        for name in unset:
            default = to_json(getattr(options, name))
            yield f"{name} is not set" if default is None else f"{name} = {toml.value(default)}"


def _comment(title: str, lines: Iterator[str]) -> str:
    return "\n".join([f"# {title}", *(f"#   {line}" for line in lines)]) + "\n"


def dry_run(launch: Launch, raw: config.Raw, loaded: Sequence[LoadedPlugin]) -> int:
    """Print what a run would be and check that it could start."""
    import json

    from slime_core.preflight import preflight

    tree = config.to_dict(launch.config, secrets(loaded))
    plan = launch.plan.to_json()
    print(toml.document(tree, sources(raw, loaded)))
    print(_comment("options of plugins that nobody set", unset_options(launch)))
    print(_comment("plan", plan_lines(json.loads(plan) if isinstance(plan, str) else plan)))
    print(_comment("placement", placement(launch.config, visible_gpus())), flush=True)
    preflight(launch)
    print("slime: the checks passed; nothing was started", file=sys.stderr)
    return 0
