"""Options of plugins from environment variables, the only place that secrets are taken from."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from slime_hookspecs import ConfigError

from slime_core.plugins.names import entry_name
from slime_core.plugins.options import options_type, secret_names
from slime_core.plugins.roles import DEFAULTS

if TYPE_CHECKING:
    from slime_core.config.layers import Layer, Raw
    from slime_core.plugins.loading import LoadedPlugin

PREFIX: Final = "SLIME_"
OWN: Final = ("SLIME_PLUGINS_BLOCK", "SLIME_IMPORT_TIMEOUT_S")
"""Variables that begin alike and are the host's own."""


def variable(plugin: str, option: str) -> str:
    """The environment variable of an option: ``SLIME_<PLUGIN>_<FIELD>``."""
    return f"{PREFIX}{plugin}_{option}".upper().replace("-", "_").replace(".", "_")


def with_environment(
    raw: Raw, loaded: Sequence[LoadedPlugin], environ: Mapping[str, str] | None = None
) -> Raw:
    """What the user asked for, with the environment's options under those of the command line.

    Args:
        raw: Files and command line, the weakest first.
        loaded: The plugins that were asked for.
        environ: The environment; the process's own by default.

    Raises:
        ConfigError: a secret option was given in another place.
    """
    from slime_core.config.settings import COMMAND_LINE

    _refuse_open_secrets(raw, loaded)
    names = {one.name for one in loaded} | {entry_name(one) for one in DEFAULTS.values()}
    ambient = _layers(names, os.environ if environ is None else environ)
    weaker = tuple(layer for layer in raw.layers if layer.source != COMMAND_LINE)
    stronger = raw.layers[len(weaker) :]
    return replace(raw, layers=(*weaker, *ambient, *stronger))


def explains(plugin: str, table: Mapping[str, Any]) -> bool:
    """Whether a table may come from the environment alone, which serves other runs as well."""
    return bool(table) and all(variable(plugin, option) in os.environ for option in table)


def _layers(plugins: Collection[str], environ: Mapping[str, str]) -> Iterator[Layer]:
    from slime_core.config.layers import Layer

    for name in sorted(environ):
        if (key := _key(name, plugins)) and name not in OWN:
            yield Layer(f"{name} in the environment", {("plugin", *key): _value(environ[name])})


def _key(name: str, plugins: Collection[str]) -> tuple[str, str] | None:
    """Plugin and option of a variable: the longest name of a plugin that it begins with."""
    fitting = [one for one in plugins if name.startswith(variable(one, ""))]
    if not fitting:
        return None
    plugin = max(fitting, key=len)
    option = name.removeprefix(variable(plugin, "")).lower()
    return (plugin, option) if option else None


def _value(text: str) -> Any:
    """Lists and tables are written as JSON; all else is a text, as on the command line."""
    if text[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _refuse_open_secrets(raw: Raw, loaded: Sequence[LoadedPlugin]) -> None:
    from slime_core.config.settings import spell

    secret = {
        ("plugin", one.name, field) for one in loaded for field in secret_names(options_type(one))
    }
    for key, source in raw.sources.items():
        if key in secret:
            raise ConfigError(
                f"{spell(key, source)}: is a secret, which shell histories and files would keep\n"
                f"  give it in the environment variable {variable(key[1], key[2])} only"
            )
