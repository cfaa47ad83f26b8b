"""The batch fields that the plugins of a run declare, checked against the core's and each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slime_hookspecs import BatchField, PluginError
from slime_hookspecs.batch import wrong_batch_field

from slime_core.plugins.loading import LoadedPlugin
from slime_core.plugins.options import ask
from slime_core.plugins.verify import VerifiedPlugin


def batch_fields(plugins: Sequence[VerifiedPlugin]) -> tuple[tuple[str, BatchField], ...]:
    """Every declared batch field with the name of its plugin, in plan order.

    Raises:
        PluginError: a field is malformed, or its name is taken.
    """
    owners: dict[str, LoadedPlugin] = {}
    fields: list[tuple[str, BatchField]] = []
    for plugin in plugins:
        loaded = plugin.loaded
        for field in _declared(plugin):
            if wrong := next(wrong_batch_field(field), None):
                _refuse(loaded, field, wrong)
            if other := owners.get(field.name):
                _refuse(loaded, field, f"{other.display} declares a field of this name too")
            owners[field.name] = loaded
            fields.append((plugin.name, field))
    return tuple(fields)


def _declared(plugin: VerifiedPlugin) -> Sequence[Any]:
    loaded, hook = plugin.loaded, plugin.hooks.get("slime_batch_fields")
    if hook is None:
        return ()
    answer = ask(loaded, "slime_batch_fields", hook.function)
    if not isinstance(answer, Sequence) or isinstance(answer, str):
        _refuse(loaded, answer, "it must return a list of BatchField")
    return list(answer)


def _refuse(loaded: LoadedPlugin, what: Any, wrong: str) -> None:
    raise PluginError(f"plugin {loaded.display}, hook slime_batch_fields\n  {what!r}\n  {wrong}")
