"""Layers in, ``Config`` out, and back into plain values for files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from slime_core.config.fail import config_error
from slime_core.config.files import read_layer, without_nulls
from slime_core.config.layers import Layer, Raw, layer_from_tree, nest
from slime_core.config.roles import fold, unfold
from slime_core.config.rules import check
from slime_core.config.schema import Config
from slime_core.config.settings import Key, section_types, spell

PLUGIN_DEFAULTS = "plugin default"


@dataclass(frozen=True, slots=True)
class Sourced:
    """A value and the place that it came from."""

    value: Any
    source: str


def _default_layer(defaults: Mapping[str, Any], source: str) -> Layer:
    layer = layer_from_tree(defaults, source)
    if ("plugins",) in layer.values:
        raise config_error(f"{spell(('plugins',), source)}: defaults cannot load more plugins")
    return layer


def _merge(raw: Raw, defaults: Mapping[str, Any]) -> dict[Key, Sourced]:
    layers = [_default_layer(defaults, PLUGIN_DEFAULTS), *raw.layers]
    if raw.resume is not None:
        layers = layers[1:]
    folded = (fold(layer) for layer in layers)
    return {k: Sourced(v, x.source) for x in folded for k, v in x.values.items()}


def _absolute(value: Any) -> Any:
    return value.expanduser().absolute() if isinstance(value, Path) else value


def _build(flat: Mapping[Key, Any]) -> Config:
    tree = nest(unfold(flat))
    for name, section in section_types().items():
        tree[name] = section(**tree.get(name, {}))
    return Config(**tree)


def resolve(raw: Raw, defaults: Mapping[str, Any]) -> Config:
    """The configuration of a run: core defaults, plugins' defaults, file, command line.

    A resumed run has its saved configuration in place of the first three; it ignores ``defaults``.

    Args:
        raw: What the user asked for.
        defaults: What the loaded plugins want unless the user says otherwise, nested as in TOML.

    Raises:
        ConfigError: Settings are wrong or contradict each other.
    """
    config = _build({k: _absolute(s.value) for k, s in _merge(raw, defaults).items()})
    check(config)
    return config


def provenance(raw: Raw, defaults: Mapping[str, Any]) -> dict[Key, Sourced]:
    """Value and source of everything that is not a core default.

    ``--use`` and ``--reward-weight`` have a key for each role and reward: ``("use", "loss")``.
    """
    return _merge(raw, defaults)


def named(raw: Raw) -> list[str]:
    """Every plugin that the user names: those to load, and those chosen for a role."""
    chosen = [s.value for key, s in _merge(raw, {}).items() if key[0] == "use"]
    return list(dict.fromkeys([*raw.plugins, *chosen]))


def resume(raw: Raw, file: Path) -> Raw:
    """What the user asked for, on top of the configuration that its run directory keeps."""
    saved = read_layer(file, f"{raw.resume}/{file.name}")
    home = Layer(saved.source, {**saved.values, ("run_dir",): raw.resume})
    return replace(raw, layers=(home, *raw.layers))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def to_dict(config: Config, hidden: Collection[Key] = ()) -> dict[str, Any]:
    """The configuration as values that JSON and TOML can hold; unset settings are left out.

    Args:
        config: The configuration.
        hidden: Options of plugins to leave out, as ``("plugin", "name", "field")``: secrets.
    """
    tree = dict(without_nulls(_plain(asdict(config))))
    tree["plugin"] = {
        plugin: {k: v for k, v in options.items() if ("plugin", plugin, k) not in hidden}
        for plugin, options in tree["plugin"].items()
    }
    return tree


def from_dict(tree: Mapping[str, Any], source: str = "saved configuration") -> Config:
    """The configuration that ``to_dict`` was given.

    Raises:
        ConfigError: A key is unknown, or a value is wrong.
    """
    return _build(layer_from_tree(without_nulls(dict(tree)), source).values)
