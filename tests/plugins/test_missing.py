"""A name that no plugin has is answered with what is there: another name, or one not declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import PluginError

from slime_core.plugins import load

API = "slime-hookspecs>=0.1,<0.2"


def bare(site: Any, name: str, group: str = "", **fields: Any) -> Path:
    """Install a distribution without a plugin, or with one in a group of another name."""
    info = site.install(name, **fields)
    points = info / "entry_points.txt"
    points.write_text(f"[{group}]\ntask = my_module:hooks\n" if group else "")
    return points


def refusal(name: str) -> list[str]:
    with pytest.raises(PluginError) as caught:
        load([name])
    return str(caught.value).split("\n")


@pytest.mark.parametrize("spelling", ["task", "slime-plugin-task", "slime-plugin-task:task"])
def test_what_is_installed_without_an_entry_point_is_told_which_lines_it_lacks(
    site: Any, spelling: str
) -> None:
    bare(site, "slime-plugin-task", version="1.2")
    assert refusal(spelling) == [
        f"unknown plugin {spelling!r}: slime-plugin-task 1.2 is installed, but has no entry point "
        "in the group slime.plugins",
        "  its pyproject.toml needs these lines:",
        '    [project.entry-points."slime.plugins"]',
        '    task = "slime_plugin_task"',
        "  then install it again: pip install FOLDER",
    ]


@pytest.mark.parametrize(
    "group", ["slime.plugin", "slime_plugins", "slime-plugins", "slim.plugins"]
)
@pytest.mark.parametrize("spelling", ["task", "unlike:task"])
def test_a_misspelt_group_is_shown_with_the_right_one(site: Any, group: str, spelling: str) -> None:
    bare(site, "unlike", group, requires=())
    first, has, _, head, line, _ = refusal(spelling)
    assert first.startswith(f"unknown plugin {spelling!r}: unlike 1.0 is installed, but has no ")
    assert has == f"  it has task = my_module:hooks in the group {group}"
    assert head == '    [project.entry-points."slime.plugins"]'
    assert line == '    task = "my_module:hooks"'


@pytest.mark.parametrize(
    ("editable", "command"), [(True, "pip install -e {}"), (False, "pip install {}")]
)
def test_the_command_installs_it_from_where_it_came(
    site: Any, tmp_path: Path, editable: bool, command: str
) -> None:
    home = tmp_path / "my work"
    direct = {"url": home.as_uri(), "dir_info": {"editable": True} if editable else {}}
    bare(site, "slime-plugin-task", direct_url=direct)
    assert refusal("task")[-1] == f"  then install it again: {command.format(home)}"


@pytest.mark.parametrize(
    "fields", [{"files": {"words.py": ""}}, {"files": {"words/__init__.py": "", "words/a.py": ""}}]
)
def test_the_line_names_the_module_that_is_there(site: Any, fields: dict[str, Any]) -> None:
    bare(site, "slime-plugin-task", **fields)
    assert refusal("task")[3] == '    task = "words"'


@pytest.mark.parametrize(
    ("requires", "meant"), [((API,), True), (("Slime_Hookspecs",), True), (("numpy",), False)]
)
def test_a_distribution_of_a_like_name_is_meant_if_it_was_written_for_slime(
    site: Any, requires: tuple[str, ...], meant: bool
) -> None:
    bare(site, "my-task-pack", requires=requires)
    assert refusal("task")[0].startswith("unknown plugin 'task': my-task-pack 1.0 is") is meant
    assert refusal("ask")[0] == "unknown plugin 'ask': nothing installed has this name"


def test_a_library_that_has_the_name_by_chance_is_not_taken_for_a_plugin(site: Any) -> None:
    bare(site, "chance", requires=("numpy",))
    assert refusal("chance")[-1] == "  to install it: pip install slime-plugin-chance"


@pytest.mark.parametrize("spelling", ["task", "slime-plugin-task:tsak"])
def test_a_distribution_with_plugins_of_other_names_lists_them(site: Any, spelling: str) -> None:
    site.install("slime-plugin-task", plugins={"my_task": "m", "other": "m"})
    assert refusal(spelling) == [
        f"unknown plugin {spelling!r}: slime-plugin-task 1.0 has no entry point of this name, but",
        "  my_task (slime-plugin-task 1.0): --plugin my_task",
        "  other (slime-plugin-task 1.0): --plugin other",
    ]
