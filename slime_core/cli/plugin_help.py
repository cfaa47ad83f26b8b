"""The part of the help that a plugin brings: its options, read off its dataclass."""

from __future__ import annotations

import dataclasses
import textwrap
import typing
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slime_core.plugins.loading import LoadedPlugin
    from slime_core.plugins.policy import Policy

_COLUMN = 34
_WIDTH = 100


def _default(field: dataclasses.Field[Any]) -> str:
    if field.metadata.get("secret"):
        return ""
    made = field.default_factory
    value = field.default if made is dataclasses.MISSING else made()
    return "" if value is None or value in ("", [], {}, ()) else f" (default: {value})"


def _type_name(hint: Any) -> str:
    if choices := [a for a in typing.get_args(hint) if isinstance(a, str)]:
        return "|".join(choices)
    plain = isinstance(hint, type) and not typing.get_args(hint)
    return (hint.__name__ if plain else str(hint).replace("typing.", "")).upper()


def _entry(flag: str, text: str) -> str:
    lines = textwrap.wrap(text, _WIDTH - _COLUMN) or [""]
    if len(flag) + 2 >= _COLUMN:
        lines = [flag, *lines]
    else:
        lines[0] = f"{flag:<{_COLUMN - 2}}{lines[0]}"
    return "  " + f"\n{'':<{_COLUMN}}".join(lines)


def _options(plugin: LoadedPlugin) -> Iterator[str]:
    from slime_core.plugins.options import options_type

    kind = options_type(plugin)
    if kind is None:
        yield "  no options"
        return
    hints = typing.get_type_hints(kind)
    prefix = plugin.name.replace("_", "-")
    for field in dataclasses.fields(kind):
        flag = f"--{prefix}.{field.name.replace('_', '-')} {_type_name(hints[field.name])}"
        yield _entry(flag, f"{field.metadata.get('help', '')}{_default(field)}")


def plugin_help(names: Sequence[str], policy: Policy | None = None) -> str:
    """The options of the named plugins, as the help shows them. Imports the plugins.

    Raises:
        PluginError: A plugin is unknown or does not load.
    """
    from slime_core import plugins

    parts = (
        "\n".join([f"options of plugin {plugin.display}:", *_options(plugin)])
        for plugin in plugins.load(names, policy=policy)
    )
    return "\n\n".join(parts) + "\n"
