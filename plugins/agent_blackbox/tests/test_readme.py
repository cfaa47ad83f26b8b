"""The README says what the options are, and what agents are given."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from slime_plugin_agent_blackbox import Options
from slime_plugin_agent_blackbox.launch import PLACEHOLDERS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_table_of_options_is_that_of_the_options_class() -> None:
    found = [line for line in README.splitlines() if line.startswith("| `--agent-blackbox.")]
    assert found == [
        f"| `--agent-blackbox.{field.name.replace('_', '-')}` "
        f"| `{json.dumps(getattr(Options(), field.name))}` | {field.metadata['help']} |"
        for field in dataclasses.fields(Options)
    ]


def test_every_placeholder_is_named() -> None:
    assert [name for name in PLACEHOLDERS if f"`{{{name}}}`" not in README] == []
