"""``slime plugins info NAME``: all about one plugin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slime_core.cli.plugins.arguments import Parser, add_blocks, add_json, picked, read_blocks
from slime_core.cli.plugins.examine import Finding, examine
from slime_core.cli.plugins.render import document, table
from slime_core.plugins import installed
from slime_core.plugins.environment import variable
from slime_core.plugins.options import flag
from slime_core.plugins.probe import TIMEOUT_S


def _values(finding: Finding) -> dict[str, Any]:
    plugin = finding.entry.plugin
    return {
        **finding.values,
        "summary": installed.summary(plugin.distribution),
        "origin": installed.origin(plugin.distribution),
        "requires": list(plugin.requires),
    }


def _rows(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for label in ("name", "summary", "distribution", "version", "entry_point", "location"):
        yield label.replace("_", " "), values[label]
    yield "origin", values["origin"]
    yield "requires", "\n".join(values["requires"])
    yield "status", " ".join(part for part in (values["status"], values["detail"]) if part)
    probe = values["probe"] or {}
    yield "hooks", ", ".join(probe.get("hooks", ()))
    yield "options", "\n".join(_spellings(values["name"], values["options"] or {}))
    if values["conformance"]:
        yield "conformance", values["conformance"]["summary"]
    yield "problems", "\n".join(values["problems"])
    yield "warnings", "\n".join(values["warnings"])


def _spellings(plugin: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """How each option is given: by flag, and secrets in the environment alone."""
    for name, entry in schema.get("properties", {}).items():
        yield variable(plugin, name) if entry.get("writeOnly") else flag(plugin, name)


def main(argv: Sequence[str]) -> int:
    """Print what is known. Returns 1 if the plugin is broken, else 0."""
    parser = Parser("info", "All about one plugin; hooks and options come from a probe.")
    parser.add_argument("name", metavar="NAME")
    add_json(parser)
    add_blocks(parser)
    found = parser.parse_args(argv)
    rules = read_blocks(found)
    (finding,) = examine(picked([found.name], rules), rules, TIMEOUT_S)
    values = _values(finding)
    if found.json:
        print(document("slime.plugins.info/1", **values))
    else:
        print(table(row for row in _rows(values) if row[1]))
    return int(not values["ok"])
