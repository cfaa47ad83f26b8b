"""All installed plugins with how they stand, told from metadata; imports none of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, TypeAlias, final

from slime_core.plugins import installed
from slime_core.plugins.blocks import Rule, blocked_hooks, blocker
from slime_core.plugins.finding import find, order
from slime_core.plugins.installed import Plugin
from slime_core.plugins.plain import surely_met

Status = Literal["ok", "blocked", "broken", "ambiguous", "shadowed"]
#: A requirement of the contract, and the range behind name and extras.
_CONTRACT: Final = re.compile(r"slime[-_.]hookspecs\s*(?:\[[^]]*\])?\s*([(<>=!~].*)?", re.I)

Versions: TypeAlias = Callable[[str], str | None]


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """A plugin and how it stands.

    Attributes:
        plugin: What was found.
        requires_api: Which versions of the contract it was written for, as it says.
        status: ``ok``, or why a run could not use it by its plain name.
        detail: More about it; empty when all is well.
        blocked_by: Who blocks it, or empty.
        blocked_hooks: Hooks of it that are blocked, with who does so.
    """

    plugin: Plugin
    requires_api: str
    status: Status
    detail: str
    blocked_by: str
    blocked_hooks: dict[str, str]


def catalog(blocks: Sequence[Rule] = (), shadowed: bool = False) -> list[Entry]:
    """Every plugin that an import would take, in the order of ``find``.

    Args:
        blocks: What is blocked, and who is trusted.
        shadowed: Whether to add those that a folder earlier on the path hides.
    """
    visible = find()
    names = Counter(plugin.name for plugin in visible if not blocker(plugin, blocks))
    versions = cache(installed.version)
    rows = [_entry(plugin, names, blocks, versions) for plugin in visible]
    if shadowed:
        rows += [_hidden(plugin) for plugin in installed.entries() if plugin not in visible]
    return sorted(rows, key=lambda row: (order(row.plugin), row.plugin.location))


def requires_api(requires: Iterable[str]) -> str:
    """Which versions of the contract are required, as ``>=0.1,<0.2``; empty if none is named."""
    for text in requires:
        needed, _, marker = text.partition(";")
        found = _CONTRACT.fullmatch(needed.strip())
        if found and not re.search(r"\bextra\b", marker):
            return (found[1] or "").strip("()").replace(" ", "")
    return ""


def _entry(
    plugin: Plugin, names: Counter[str], blocks: Sequence[Rule], versions: Versions
) -> Entry:
    block = blocker(plugin, blocks)
    hooks = {name: one.display for name, one in blocked_hooks(plugin, blocks).items()}
    status, detail = _standing(plugin, names, versions)
    if block is not None:
        status, detail = "blocked", f"by {block.display}"
    elif hooks and not detail:
        detail = f"without {', '.join(hooks)}: blocked by {', '.join(hooks.values())}"
    blocked_by = block.display if block else ""
    return Entry(plugin, requires_api(plugin.requires), status, detail, blocked_by, hooks)


def _standing(plugin: Plugin, names: Counter[str], versions: Versions) -> tuple[Status, str]:
    if problem := _problem(plugin, versions):
        return "broken", problem
    if names[plugin.name] > 1:
        return "ambiguous", f"the name is claimed more than once: --plugin {plugin.spelling}"
    return "ok", ""


def _problem(plugin: Plugin, versions: Versions) -> str:
    # The contract and the grammar of requirements cost more to import than all of this.
    if plugin.version and surely_met(plugin.requires, versions):
        return ""
    from slime_hookspecs.errors import PluginError

    from slime_core.plugins.requirements import check

    try:
        check(plugin)
    except PluginError as error:
        return str(error)
    return ""


def _hidden(plugin: Plugin) -> Entry:
    detail = f"{plugin.location} comes later on sys.path than another {plugin.distribution}"
    return Entry(plugin, requires_api(plugin.requires), "shadowed", detail, "", {})
