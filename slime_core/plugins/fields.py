"""The batch fields that the plugins of a run declare, checked against the core's and each other."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Sequence
from typing import Any, Final

from slime_hookspecs import BatchField, PluginError

from slime_core.plugins.loading import LoadedPlugin
from slime_core.plugins.options import ask
from slime_core.plugins.verify import VerifiedPlugin

#: Keys of a batch that the core fills.
CORE_FIELDS: Final = frozenset(
    {
        "tokens",
        "loss_mask",
        "loss_weights",
        "rollout_logprobs",
        "old_logprobs",
        "advantages",
        "sample_advantages",
        "sample_index",
        "sample_indices",
        "lengths",
        "weight_versions",
    }
)


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
            if wrong := next(_wrong(field), None):
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


def _wrong(field: Any) -> Iterator[str]:
    if not isinstance(field, BatchField):
        yield "it must return a list of BatchField"
        return
    name = field.name
    if not (isinstance(name, str) and name.isidentifier()) or keyword.iskeyword(name):
        yield "the name is not a Python identifier"
    if name in CORE_FIELDS:
        yield "the core fills a batch field of this name"
    if field.per not in ("token", "sample"):
        yield "per must be 'token' or 'sample'"
    if field.dtype not in ("float32", "int64"):
        yield "dtype must be 'float32' or 'int64'"
    if not isinstance(field.shape, tuple) or not all(_is_size(size) for size in field.shape):
        yield "shape must be a tuple of positive whole numbers"
    if not isinstance(field.default, int | float | None):
        yield "default must be a number, or None where every sample sets the field"
    elif field.dtype == "int64" and field.default not in (None, int(field.default or 0)):
        yield "default must be a whole number, as dtype says"


def _is_size(size: Any) -> bool:
    return isinstance(size, int) and size > 0


def _refuse(loaded: LoadedPlugin, what: Any, wrong: str) -> None:
    raise PluginError(f"plugin {loaded.display}, hook slime_batch_fields\n  {what!r}\n  {wrong}")
