"""The table in docs/plugins.md is what the built-in plugins are."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path

from slime_hookspecs import HOOKS, Cardinality
from slime_hookspecs.testing.signatures import definitions

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
ROW = re.compile(r"^\| `(\w+)` \| ((?:`slime_\w+`(?:, )?)+) \| .{20,} \|$", re.MULTILINE)


def test_the_page_has_a_row_a_plugin_with_the_hooks_that_do_its_work() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## Built-in plugins\n")[2]
    told = {name: re.findall(r"slime_\w+", hooks) for name, hooks in ROW.findall(section)}
    points = distribution("slime-rl").entry_points.select(group="slime.plugins")
    about_itself = {n for n, one in HOOKS.items() if one.cardinality is Cardinality.PER_PLUGIN}
    own = {point.name: set(definitions(point.load()).hooks) - about_itself for point in points}
    assert {name: set(hooks) for name, hooks in told.items()} == own
