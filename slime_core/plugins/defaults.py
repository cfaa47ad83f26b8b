"""What tasks would like the run's settings to be, gathered from all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slime_hookspecs import PluginError

from slime_core.plugins.loading import LoadedPlugin
from slime_core.plugins.options import ask
from slime_core.plugins.verify import implementations

Path = tuple[str, ...]


def collect_defaults(loaded: Sequence[LoadedPlugin]) -> dict[str, Any]:
    """The ``slime_defaults`` of all plugins as one nested mapping in the shape of the TOML file.

    Raises:
        PluginError: two plugins give different values for a setting, or an answer is no mapping.
    """
    merged: dict[Path, tuple[LoadedPlugin, Any]] = {}
    for plugin in loaded:
        for path, value in _leaves(plugin, _answer(plugin), ()):
            for other_path, (other, other_value) in merged.items():
                if _clash(path, value, other_path, other_value):
                    raise PluginError(
                        _conflict(other, other_path, other_value, plugin, path, value)
                    )
            merged.setdefault(path, (plugin, value))
    return _nest({path: value for path, (_, value) in merged.items()})


def _answer(loaded: LoadedPlugin) -> Any:
    hook = implementations(loaded).get("slime_defaults")
    return {} if hook is None else ask(loaded, "slime_defaults", hook.function)


def _leaves(loaded: LoadedPlugin, tree: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if not isinstance(tree, Mapping):
        if not path:
            raise PluginError(
                f"plugin {loaded.display}, hook slime_defaults\n  it returned {tree!r}\n"
                f"  it must return a mapping in the shape of the TOML file"
            )
        yield path, tree
        return
    for key, value in tree.items():
        if not isinstance(key, str):
            raise PluginError(
                f"plugin {loaded.display}, hook slime_defaults\n  key {key!r} in {'.'.join(path)}\n"
                f"  keys are names of settings"
            )
        yield from _leaves(loaded, value, (*path, key))


def _clash(path: Path, value: Any, other_path: Path, other_value: Any) -> bool:
    """Whether two settings cannot both hold: another value in one place, or a table and a value."""
    if path == other_path:
        # The type counts: 1, 1.0 and True are equal and mean different things in TOML.
        return (type(value), value) != (type(other_value), other_value)
    shorter = min(len(path), len(other_path))
    return path[:shorter] == other_path[:shorter]


def _conflict(
    first: LoadedPlugin, where: Path, value: Any, second: LoadedPlugin, there: Path, other: Any
) -> str:
    return (
        f"two plugins give different defaults for {'.'.join(where)}; set it yourself and only one "
        f"of them will ask\n"
        f"  {first.display}: {'.'.join(where)} = {value!r}\n"
        f"  {second.display}: {'.'.join(there)} = {other!r}"
    )


def _nest(flat: Mapping[Path, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        table = tree
        for key in path[:-1]:
            table = table.setdefault(key, {})
        table[path[-1]] = value
    return tree
