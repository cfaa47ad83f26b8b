"""Settings as written down somewhere: flat, typed, and each with the place that it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slime_core.config.convert import check_raw, convert
from slime_core.config.fail import config_error, nearest
from slime_core.config.settings import PASS_THROUGH, Key, section_types, settings, spell


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source sets.

    Attributes:
        source: "command line", a file's name, or who gave the defaults.
        values: Typed values by key; raw ones for plugins and pass-through tables.
    """

    source: str
    values: Mapping[Key, Any]


@dataclass(frozen=True, slots=True)
class Raw:
    """What the user asked for, before plugins and their defaults are known.

    Attributes:
        layers: What each source sets, the weakest first.
        resume: Run directory to continue, if any.
        dry_run: Whether to show the run and start nothing.
        help: Whether to show the help and nothing else.
        version: Whether to show the version and nothing else.
    """

    layers: tuple[Layer, ...] = ()
    resume: Path | None = None
    dry_run: bool = False
    help: bool = False
    version: bool = False

    @property
    def plugins(self) -> list[str]:
        """Plugins to load, as the strongest source lists them."""
        return list(self.flat().get(("plugins",), ("", []))[1])

    def flat(self) -> dict[Key, tuple[str, Any]]:
        """Source and value of each explicit setting."""
        return {k: (x.source, v) for x in self.layers for k, v in x.values.items()}

    def stated(self, name: str) -> Any:
        """What the strongest source says about a top-level setting; ``None`` if none does."""
        return self.flat().get((name,), ("", None))[1]

    @property
    def values(self) -> dict[str, Any]:
        """Each explicit setting in a nested mapping."""
        return nest({key: value for key, (_, value) in self.flat().items()})

    @property
    def sources(self) -> dict[Key, str]:
        """Where each explicit setting came from."""
        return {key: source for key, (source, _) in self.flat().items()}


def nest(flat: Mapping[Key, Any]) -> dict[str, Any]:
    """A flat mapping as nested ones."""
    root: dict[str, Any] = {}
    for key, value in flat.items():
        table = root
        for part in key[:-1]:
            table = table.setdefault(part, {})
        table[key[-1]] = value
    return root


def _unknown(key: Key, value: Any, source: str) -> Exception:
    names = [k[-1] for k in settings() if k[:-1] == key[:-1]]
    if len(key) == 1:
        names += [*section_types(), *PASS_THROUGH, "plugin"]
    homes = [k[:-1] for k in settings() if k[-1] == key[-1] and k[:-1] != key[:-1]]
    if homes:
        tables = " or ".join(f"[{home[0]}]" if home else "the top level" for home in homes)
        hint = f"; {key[-1]} belongs to {tables}"
    elif close := nearest(key[-1], names):
        hint = f"; did you mean {close}?"
    elif isinstance(value, Mapping):
        hint = f"; options of a plugin go to [plugin.{key[-1]}]"
    else:
        hint = ""
    return config_error(f"{spell(key, source)}: is not a setting{hint}")


def _table(key: Key, value: Any, source: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        hint = "; plugins to load are listed in plugins" if key == ("plugin",) else ""
        raise config_error(
            f"{spell(key, source)}: expected a table [{'.'.join(key)}], found {value!r}{hint}"
        )
    return value


def _raw_items(key: Key, table: Any, source: str) -> Iterator[tuple[Key, Any]]:
    names: dict[str, str] = {}
    for name, value in _table(key, table, source).items():
        inner = (*key, name.replace("-", "_") if key[0] in PASS_THROUGH else name)
        if other := names.get(inner[-1]):
            raise config_error(f"{spell(inner, source)}: given twice, as {other} and {name}")
        names[inner[-1]] = name
        check_raw(inner, value, source)
        yield inner, value


def _items(tree: Mapping[str, Any], source: str) -> Iterator[tuple[Key, Any]]:
    for name, value in tree.items():
        if name in PASS_THROUGH:
            yield from _raw_items((name,), value, source)
        elif name == "plugin":
            for plugin, table in _table(("plugin",), value, source).items():
                yield from _raw_items(("plugin", plugin), table, source)
        elif name in section_types():
            for inner, setting in _table((name,), value, source).items():
                yield (name, inner), setting
        else:
            yield (name,), value


def layer_from_tree(tree: Mapping[str, Any], source: str) -> Layer:
    """The layer that a nested mapping in the shape of the TOML file stands for.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type or is out of range.
    """
    values: dict[Key, Any] = {}
    for key, value in _items(tree, source):
        if key[0] in PASS_THROUGH or key[0] == "plugin":
            values[key] = value
        elif key in settings():
            values[key] = convert(key, value, source)
        else:
            raise _unknown(key, value, source)
    return Layer(source, values)
