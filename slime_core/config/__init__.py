"""The configuration of a run: a typed tree, a TOML file, and the command line on top.

``parse`` the command line, load the plugins that it names, then ``resolve`` with their defaults.
"""

from slime_core.config.commandline import parse
from slime_core.config.layers import Layer, Raw
from slime_core.config.resolve import (
    PLUGIN_DEFAULTS,
    Sourced,
    from_dict,
    named,
    provenance,
    resolve,
    resume,
    to_dict,
)
from slime_core.config.schema import Config

__all__ = [
    "PLUGIN_DEFAULTS",
    "Config",
    "Layer",
    "Raw",
    "Sourced",
    "from_dict",
    "named",
    "parse",
    "provenance",
    "resolve",
    "resume",
    "to_dict",
]
