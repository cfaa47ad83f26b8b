"""A host serves its own minor version of the contract and the one before, told from metadata."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable
from typing import Any

import importlib_metadata
import pytest
from slime_hookspecs import PluginError

from slime_core.config.schema import Config
from slime_core.plugins import bind, installed, load, requirements
from slime_core.plugins.catalog import catalog
from slime_core.plugins.finding import find
from slime_core.plugins.requirements import conflicts

REWARD = "@hookimpl\ndef slime_reward(sample): return 1.0\n"

Host = Callable[[str], None]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """``host("0.3")`` makes this one a host of contract 0.3, release 0.3.2."""

    def become(api: str) -> None:
        real = installed.version
        monkeypatch.setattr(requirements, "API_VERSION", api)
        monkeypatch.setattr(
            installed,
            "version",
            lambda name: f"{api}.2" if name == "slime-hookspecs" else real(name),
        )

    return become


@pytest.mark.parametrize(
    ("api", "written_for", "served"),
    [
        ("0.3", "0.1", False),
        ("0.3", "0.2", True),
        ("0.3", "0.3", True),
        ("0.3", "0.4", False),
        ("0.3", "1.0", False),
        ("0.1", "0.1", True),
        ("0.1", "0.2", False),
        ("1.0", "0.3", False),
        ("1.0", "1.0", True),
        ("1.1", "1.0", True),
        ("1.2", "1.0", False),
    ],
)
def test_a_run_and_the_list_agree_on_which_plugins_are_served(
    site: Any, host: Host, api: str, written_for: str, served: bool
) -> None:
    host(api)
    major, minor = written_for.split(".")
    wanted = f"slime-hookspecs>={written_for},<{major}.{int(minor) + 1}"
    site.plugin("task", REWARD, requires=[wanted])
    status = next(one.status for one in catalog() if one.plugin.name == "task")
    assert status == ("ok" if served else "broken")
    if served:
        assert [one.name for one in load(["task"])] == ["task"]
        return
    with pytest.raises(PluginError) as caught:
        load(["task"])
    first, cure = str(caught.value).split("\n")
    assert first.startswith("plugin task (slime-plugin-task 1.0) needs slime-hookspecs<")
    assert first.endswith(f"this host serves {api} (slime-hookspecs {api}.2)")
    newer = [int(part) for part in written_for.split(".")] > [int(part) for part in api.split(".")]
    upgrade = "slime-rl slime-hookspecs" if newer else "slime-plugin-task"
    assert cure == f"  to mend it: pip install --upgrade {upgrade}"
    assert "slime_plugin_task" not in sys.modules


def test_what_was_installed_first_plays_no_part_in_the_plan(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["delta", "alpha", "charlie", "bravo"]
    for name in names:
        site.plugin(name, REWARD)
    plans, orders = set(), set()
    children = importlib_metadata.FastPath.children
    for seed in range(6):
        shuffled = _shuffled(children, random.Random(seed))
        monkeypatch.setattr(importlib_metadata.FastPath, "children", shuffled)
        importlib_metadata.MetadataPathFinder.invalidate_caches()
        seen = [one.name for one in installed.entries() if one.name in names]
        orders.add(tuple(seen))
        plan, bound = bind(Config(plugins=names), load(names))
        assert [one.plugin for one in bound.all("slime_reward")] == names
        plans.add(plan.to_json())
    assert len(orders) > 1
    assert len(plans) == 1


def _shuffled(children: Any, dice: random.Random) -> Any:
    def shuffled(self: Any) -> list[str]:
        found = sorted(children(self) or [])
        dice.shuffle(found)
        return found

    return shuffled


def test_of_two_distributions_that_claim_a_name_neither_is_taken_for_its_place(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("maths", REWARD)
    site.install("aardvark", plugins={"maths": "slime_plugin_maths"})
    seen = list(installed.entries())
    messages = set()
    for order in itertools.islice(itertools.permutations(seen), 5):
        monkeypatch.setattr(installed, "entries", lambda order=order: order)
        with pytest.raises(PluginError) as caught:
            load(["maths"])
        messages.add(str(caught.value))
    (message,) = messages
    assert message.split("\n") == [
        "several distributions claim the plugin name 'maths'; pick one",
        "  aardvark 1.0: --plugin aardvark:maths",
        "  slime-plugin-maths 1.0: --plugin slime-plugin-maths:maths",
    ]
    assert {one.status for one in catalog() if one.plugin.name == "maths"} == {"ambiguous"}


API = "slime-hookspecs>=0.1,<0.2"


@pytest.mark.parametrize(
    ("old", "new", "excluded"),
    [
        ("packaging<2", "packaging>=20", True),
        ("packaging==1.0", "packaging>1.0", True),
        ("packaging~=1.0", "packaging>=2", True),
        ("packaging!=1.0", "packaging==1.0", True),
        ("packaging<2", "packaging>=1.5", False),
        ("packaging>=20", "packaging>=21", False),
        ("packaging<2", "pluggy>=1", False),
        ("no-such>=2", "no-such<2", True),
        ("No_Such>=2", "no-such<2", True),
        ("no-such>=2; extra == 'x'", "no-such<2", False),
    ],
)
def test_two_plugins_whose_requirements_exclude_each_other_are_named(
    site: Any, old: str, new: str, excluded: bool
) -> None:
    site.plugin("old", REWARD, requires=[API, old])
    site.plugin("new", REWARD, requires=[API, new])
    both = [one for one in find() if one.name in ("old", "new")]
    lines = [line for _, line in conflicts(both)]
    assert bool(lines) is excluded
    for line in lines:
        assert "old (slime-plugin-old 1.0) needs" in line
        assert "new (slime-plugin-new 1.0) needs" in line


def test_plugins_that_exclude_each_other_are_told_with_what_is_there(site: Any) -> None:
    site.plugin("old", REWARD, requires=[API, "packaging<2"])
    site.plugin("new", REWARD, requires=[API, "packaging>=20"])
    have = installed.version("packaging")
    with pytest.raises(PluginError) as caught:
        load(["old", "new"])
    assert str(caught.value).split("\n") == [
        "the requirements of these plugins exclude each other",
        f"  old (slime-plugin-old 1.0) needs packaging<2, "
        f"new (slime-plugin-new 1.0) needs packaging>=20 ({have} is installed)",
        "  to mend it: leave one of them out, or look for releases that agree: "
        "pip install --upgrade <distribution>",
    ]
