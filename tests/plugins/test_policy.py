"""Blocked plugins and those that differ from the lock are refused before they are imported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import ConfigError, PluginError

from slime_core.config.schema import Config
from slime_core.plugins import Policy, bind, find, load
from slime_core.plugins.finding import pick
from slime_core.plugins.lock import Lock, observe

REWARD = "@hookimpl\ndef slime_reward(sample): return 1.0\n"
FILTER = "@hookimpl\ndef slime_filter(group): return KEEP\n"


@pytest.mark.parametrize(
    "text", ["task", "slime-plugin-task", "Slime_Plugin_Task", "slime-plugin-task:task"]
)
def test_a_plugin_that_is_asked_for_and_blocked_names_both(site: Any, text: str) -> None:
    site.plugin("task", "raise RuntimeError('imported')")
    with pytest.raises(PluginError) as caught:
        load(["task"], policy=Policy.of([text]))
    assert str(caught.value).split("\n")[0] == (
        f"plugin task (slime-plugin-task 1.0) was asked for and is blocked by --block {text}"
    )
    assert "slime_plugin_task" not in sys.modules


def test_the_environment_blocks_too(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("task", REWARD)
    monkeypatch.setenv("SLIME_PLUGINS_BLOCK", "not_installed, task")
    with pytest.raises(PluginError, match="is blocked by SLIME_PLUGINS_BLOCK task"):
        load(["task"])


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("tasj", "nothing installed is called 'tasj'; did you mean 'task'"),
        ("task.rewart", "there is no hook 'slime_rewart'; did you mean 'slime_reward'"),
        ("task.options", "slime_options cannot be blocked"),
    ],
)
def test_a_block_that_means_nothing_is_refused(site: Any, text: str, wrong: str) -> None:
    site.plugin("task", REWARD)
    with pytest.raises(ConfigError) as caught:
        load(["task"], policy=Policy.of([text]))
    assert f"--block {text}: {wrong}" in str(caught.value)


@pytest.mark.parametrize("text", ["task.filter", "slime-plugin-task:task.slime_filter"])
def test_a_blocked_hook_is_not_bound(site: Any, text: str) -> None:
    site.plugin("task", REWARD + FILTER)
    loaded = load(["task"], policy=Policy.of([text]))
    plan, bound = bind(Config(plugins=["task"], block=[text]), loaded)
    assert next(one.hooks for one in plan.plugins if one.name == "task") == ("slime_reward",)
    assert bound.all("slime_filter") == ()


def test_a_lock_holds_what_is_installed_and_survives_its_file(site: Any, tmp_path: Path) -> None:
    site.plugin("task", REWARD)
    lock = Lock("x", (observe(pick("task", find())),))
    file = tmp_path / "x.lock"
    file.write_text(lock.to_json())
    assert Lock.read(file).plugins == lock.plugins
    assert [one.name for one in load(["task"], policy=Policy.of(locked=file))] == ["task"]


def test_an_edited_file_and_a_stranger_are_refused_before_import(site: Any, tmp_path: Path) -> None:
    site.plugin("task", REWARD)
    site.plugin("stranger", REWARD)
    file = tmp_path / "x.lock"
    file.write_text(Lock("", (observe(pick("task", find())),)).to_json())
    site.write("slime_plugin_task.py", "raise RuntimeError('imported')")
    with pytest.raises(PluginError) as caught:
        load(["task", "stranger"], policy=Policy.of(locked=file))
    lines = str(caught.value).split("\n")
    assert lines[0] == f"--locked {file}: what is installed is not what the lock holds"
    assert lines[1].startswith("  plugin task (slime-plugin-task 1.0): code ")
    assert lines[2] == "  plugin stranger (slime-plugin-stranger 1.0): is not in the lock"
    assert "slime_plugin_task" not in sys.modules


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        (["task"], "slime plugins lock task --output"),
        (["slime-plugin-task:task", "judge"], "slime plugins lock slime-plugin-task:task judge --"),
        ([], "slime plugins lock --output"),
    ],
)
def test_the_command_that_writes_a_new_lock_repeats_what_the_run_asks_for(
    site: Any, tmp_path: Path, asked: list[str], command: str
) -> None:
    site.plugin("task", REWARD)
    with pytest.raises(ConfigError, match=command):
        Policy.of(locked=tmp_path / "none", asked=asked)
    file = tmp_path / "x.lock"
    file.write_text(Lock("", ()).to_json())
    with pytest.raises(PluginError, match="is not in the lock") as caught:
        load(["task"], policy=Policy.of(locked=file, asked=asked))
    assert f"or accept this: {command}" in str(caught.value)


def test_it_repeats_plugins_of_roles_too(site: Any, tmp_path: Path) -> None:
    site.plugin("task", REWARD)
    site.plugin("judge", "@hookimpl\ndef slime_advantage(group): return []\n")
    file = tmp_path / "x.lock"
    file.write_text(Lock("", (observe(pick("task", find())),)).to_json())
    config = Config(plugins=["task"], use=["advantage=judge"], locked=file)
    with pytest.raises(PluginError) as caught:
        bind(config, load(["task"], policy=Policy.of(locked=file)))
    assert f"slime plugins lock task judge --output {file}" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other", "plugins": []}'])
def test_a_file_that_is_no_lock_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(ConfigError, match="is no lock of plugins"):
        Policy.of(locked=tmp_path / "x")


def test_plugins_whose_requirements_exclude_each_other_are_both_named(site: Any) -> None:
    api = "slime-hookspecs>=0.1,<0.2"
    site.plugin("old", REWARD, requires=[api, "packaging<2"])
    site.plugin("new", REWARD, requires=[api, "packaging>=20"])
    with pytest.raises(PluginError, match=r"old \(.*\) needs packaging<2, new \(.*\) needs"):
        load(["old", "new"])


TRUSTS_OTHERS = "--trust, which trusts acme-*, slime-plugin-tas only"


def test_a_plugin_of_a_distribution_that_is_not_trusted_is_not_imported(site: Any) -> None:
    site.plugin("task", "raise RuntimeError('imported')")
    with pytest.raises(PluginError) as caught:
        load(["task"], policy=Policy.of(trusted=["acme-*", "slime-plugin-tas"]))
    assert str(caught.value).split("\n")[0] == (
        f"plugin task (slime-plugin-task 1.0) was asked for and is blocked by {TRUSTS_OTHERS}"
    )
    assert "slime_plugin_task" not in sys.modules


@pytest.mark.parametrize("name", ["slime-plugin-task", "Slime_Plugin_Task", "slime-plugin-*", "*"])
def test_a_trusted_distribution_is_loaded_and_the_built_in_ones_are(site: Any, name: str) -> None:
    site.plugin("task", REWARD)
    loaded = load(["task", "grpo"], policy=Policy.of(trusted=["acme", name]))
    assert [one.name for one in loaded] == ["task", "grpo"]


def test_with_two_lists_a_plugin_must_be_in_both(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("task", REWARD)
    monkeypatch.setenv("SLIME_PLUGINS_TRUST", "acme, other-*")
    with pytest.raises(PluginError, match="by SLIME_PLUGINS_TRUST, which trusts acme, other-"):
        load(["task"], policy=Policy.of(trusted=["slime-plugin-task"]))
    monkeypatch.setenv("SLIME_PLUGINS_TRUST", "slime-plugin-*")
    assert load(["task"], policy=Policy.of(trusted=["slime-plugin-task"]))


def test_what_binding_loads_besides_must_be_trusted_too(site: Any) -> None:
    site.plugin("task", REWARD)
    site.plugin("judge", "@hookimpl\ndef slime_advantage(group): return []\n")
    config = Config(plugins=["task"], use=["advantage=judge"], trust=["slime-plugin-task"])
    with pytest.raises(PluginError, match=r"judge .* is blocked by --trust"):
        bind(config, load(["task"], policy=Policy.of(trusted=config.trust)))
