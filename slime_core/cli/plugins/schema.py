"""``slime plugins schema NAME``: a plugin's options as JSON schema, or as a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slime_core.cli.plugins.arguments import Parser, add_blocks, add_json, picked, read_blocks
from slime_core.cli.plugins.render import document, table
from slime_core.plugins.environment import variable
from slime_core.plugins.options import flag
from slime_core.plugins.probe import probe


def _rows(plugin: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    yield "FLAG", "ENVIRONMENT", "DEFAULT", "HELP"
    for name, entry in schema["properties"].items():
        default = json.dumps(entry["default"]) if "default" in entry else ""
        secret = entry.get("writeOnly")
        text = entry.get("description", "")
        yield "" if secret else flag(plugin, name), variable(plugin, name), default, text


def main(argv: Sequence[str]) -> int:
    """Print the schema. Returns 1 if the plugin is broken, else 0."""
    parser = Parser("schema", "A plugin's options as JSON schema, or as a table without --json.")
    parser.add_argument("name", metavar="NAME")
    add_json(parser)
    add_blocks(parser)
    found = parser.parse_args(argv)
    (plugin,) = picked([found.name], read_blocks(found))
    result = probe(plugin)
    if not result.well:
        print(f"slime: error: {result.error}", file=sys.stderr)
        return 1
    if found.json:
        options = result.options
        print(document("slime.plugins.schema/1", plugin=plugin.name, options=options))
    else:
        print(table(_rows(plugin.name, result.options)) if result.options else "no options")
    return 0
