"""``slime plugins list``: what is installed, read from metadata; imports no plugin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slime_core.cli.plugins.arguments import Parser, add_blocks, add_json, read_blocks
from slime_core.cli.plugins.render import document, entry_values, table
from slime_core.plugins.catalog import Entry, catalog


def _rows(entries: Sequence[Entry]) -> Iterator[tuple[str, ...]]:
    yield "NAME", "DISTRIBUTION", "VERSION", "API", "STATUS", ""
    for entry in entries:
        plugin = entry.plugin
        version, api = plugin.version or "?", entry.requires_api or "?"
        yield plugin.name, plugin.distribution, version, api, entry.status, entry.detail


def main(argv: Sequence[str]) -> int:
    """Print the list. Returns 0, also where a plugin is broken: ``doctor`` is there for that."""
    parser = Parser("list", "What is installed, read from metadata; imports no plugin.")
    add_json(parser)
    add_blocks(parser)
    parser.add_argument(
        "--all", action="store_true", help="also those that another folder on the path hides"
    )
    found = parser.parse_args(argv)
    entries = catalog(read_blocks(found), shadowed=found.all)
    if found.json:
        print(document("slime.plugins.list/1", plugins=[entry_values(one) for one in entries]))
    else:
        print(table(_rows(entries)))
    return 0
