"""Paths among the options of plugins, saved absolute: a run may be resumed from any folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from slime_core.config.schema import Config
from slime_core.plugins.bound import Bound
from slime_core.plugins.options import to_json


def with_absolute_paths(config: Config, bound: Bound) -> Config:
    """The configuration with the paths in its plugins' tables as ``bind`` made them.

    Args:
        config: What was bound; a relative path is in the folder that is current now.
        bound: Its hooks, with the options that were made of it.
    """
    tables = {
        plugin: {
            name: _settled(value, getattr(bound.plugin_options.get(plugin), name, None))
            for name, value in table.items()
        }
        for plugin, table in config.plugin.items()
    }
    return dataclasses.replace(config, plugin=tables)


def _settled(raw: Any, made: Any) -> Any:
    """A raw value; where paths were made of it, or of parts of it, those in their place."""
    if isinstance(made, Path):
        return str(made)
    if isinstance(raw, str) and (isinstance(made, Mapping) or dataclasses.is_dataclass(made)):
        return _settled_text(raw, made)
    if isinstance(raw, Mapping):
        return {name: _settled(value, _part(made, name)) for name, value in raw.items()}
    if isinstance(raw, list | tuple) and isinstance(made, list | tuple) and len(raw) == len(made):
        return [_settled(value, part) for value, part in zip(raw, made, strict=True)]
    return to_json(made) if any(isinstance(part, Path) for part in _parts(made)) else raw


def _settled_text(raw: str, made: Any) -> Any:
    """A table that the command line gives as JSON: as a table if it has paths, else as it is."""
    try:
        table = json.loads(raw)
    except ValueError:  # the plugin itself made something of a text
        return raw
    settled = _settled(table, made)
    return raw if settled == table else settled


def _part(made: Any, name: str) -> Any:
    return made.get(name) if isinstance(made, Mapping) else getattr(made, name, None)


def _parts(made: Any) -> Iterator[Any]:
    return iter(made) if isinstance(made, Collection) and not isinstance(made, str) else iter(())
