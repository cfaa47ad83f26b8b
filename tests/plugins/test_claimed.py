"""A name that several distributions claim is settled by what is blocked, and by whom is trusted."""

from __future__ import annotations

from typing import Any

import pytest
from slime_hookspecs import PluginError

from slime_core.config.schema import Config
from slime_core.plugins import Policy, bind, load
from slime_core.plugins.blocks import read
from slime_core.plugins.catalog import catalog

REWARD = "@hookimpl\ndef slime_reward(sample): return 1.0\n"


@pytest.fixture(autouse=True)
def two_claims(site: Any) -> None:
    """Two distributions with a plugin ``maths``, and one with a plugin that nobody disputes."""
    site.plugin("maths", REWARD)
    site.install("other-maths", "2.0", plugins={"maths": "slime_plugin_maths"})
    site.plugin("sums", REWARD)


def refusal(policy: Policy | None = None) -> list[str]:
    with pytest.raises(PluginError) as caught:
        load(["maths"], policy=policy)
    return str(caught.value).split("\n")


@pytest.mark.parametrize(
    ("block", "trust", "left"),
    [
        (["other-maths"], [], "slime-plugin-maths"),
        (["slime-plugin-maths:maths"], [], "other-maths"),
        ([], ["other-*"], "other-maths"),
        (["other-maths"], ["slime-plugin-*"], "slime-plugin-maths"),
    ],
)
def test_the_one_that_is_left_serves(block: list[str], trust: list[str], left: str) -> None:
    (loaded,) = load(["maths"], policy=Policy.of(block, trusted=trust))
    assert loaded.plugin.distribution == left
    config = Config(plugins=["maths"], block=block, trust=trust)
    plan, _ = bind(config, [loaded])
    assert next(one.distribution for one in plan.plugins if one.name == "maths") == left


def test_it_is_settled_for_a_role_too() -> None:
    config = Config(plugins=["sums"], use=["generate=maths"], block=["other-maths"])
    with pytest.raises(PluginError, match=r"maths \(slime-plugin-maths 1.0\) does not implement"):
        bind(config, load(["sums"]))


def test_the_environment_settles_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIME_PLUGINS_BLOCK", "other-maths")
    assert [one.display for one in load(["maths"])] == ["maths (slime-plugin-maths 1.0)"]


@pytest.mark.parametrize("block", [["sums"], ["maths.reward"], ["slime-plugin-sums:sums"]])
def test_a_block_of_something_else_settles_nothing(block: list[str]) -> None:
    assert refusal(Policy.of(block)) == [
        "several distributions claim the plugin name 'maths'; pick one",
        "  other-maths 2.0: --plugin other-maths:maths",
        "  slime-plugin-maths 1.0: --plugin slime-plugin-maths:maths",
    ]


def test_where_none_is_left_each_names_its_block() -> None:
    assert refusal(Policy.of(["maths"])) == [
        "several distributions claim the plugin name 'maths'; pick one",
        "  other-maths 2.0: blocked by --block maths",
        "  slime-plugin-maths 1.0: blocked by --block maths",
    ]


def test_the_exact_spelling_of_one_that_is_blocked_is_refused_as_such() -> None:
    with pytest.raises(PluginError, match="was asked for and is blocked by --block other-maths"):
        load(["other-maths:maths"], policy=Policy.of(["other-maths"]))


def test_the_list_calls_the_one_that_is_left_well() -> None:
    rows = catalog(read(["other-maths"], "--block"))
    assert {one.plugin.distribution: one.status for one in rows if one.plugin.name == "maths"} == {
        "other-maths": "blocked",
        "slime-plugin-maths": "ok",
    }
