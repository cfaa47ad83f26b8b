"""Options come from the environment under the command line; secrets come from nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import ConfigError

from slime_core import config
from slime_core.plugins import bind, load, with_environment
from slime_core.plugins.environment import explains

TASK = """
import dataclasses
CALLS = []
@dataclasses.dataclass(frozen=True)
class Options:
    size: int = 1
    names: list[str] = dataclasses.field(default_factory=list)
    key: str = dataclasses.field(default="", metadata={"secret": True})
@hookimpl
def slime_options():
    CALLS.append(1)
    return Options
@hookimpl
def slime_batch_fields(): return [BatchField("mine", "token")]
"""


@pytest.fixture
def task(site: Any) -> Any:
    site.plugin("my_task", TASK)
    return load(["my_task"])


def bound(task: Any, line: str, environ: dict[str, str], monkeypatch: Any) -> Any:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    raw = with_environment(
        config.parse(["--model", "m", "--plugin", "my_task", *line.split()]), task
    )
    return bind(config.resolve(raw, {}), task)


def test_a_variable_sets_an_option_and_the_command_line_is_stronger(
    task: Any, monkeypatch: Any
) -> None:
    environ = {"SLIME_MY_TASK_SIZE": "3", "SLIME_MY_TASK_NAMES": '["a", "b"]'}
    plan, _ = bound(task, "", environ, monkeypatch)
    assert plan.options["my_task"] == {"size": 3, "names": ["a", "b"]}
    plan, _ = bound(task, "--my-task.size 4", environ, monkeypatch)
    assert plan.options["my_task"]["size"] == 4


def test_a_secret_reaches_the_options_and_not_the_plan(task: Any, monkeypatch: Any) -> None:
    plan, made = bound(task, "", {"SLIME_MY_TASK_KEY": "hush"}, monkeypatch)
    assert made.options("my_task").key == "hush"
    assert "hush" not in plan.to_json()


def test_a_secret_on_the_command_line_is_refused_with_its_variable(task: Any) -> None:
    with pytest.raises(ConfigError, match="SLIME_MY_TASK_KEY only") as caught:
        with_environment(config.parse(["--plugin", "my_task", "--my-task.key", "hush"]), task)
    assert "hush" not in str(caught.value)


def test_a_misspelled_variable_is_refused_with_the_nearest(task: Any, monkeypatch: Any) -> None:
    with pytest.raises(ConfigError, match="no option 'sise'; did you mean 'size'"):
        bound(task, "", {"SLIME_MY_TASK_SISE": "3"}, monkeypatch)


def test_registration_hooks_are_asked_once_and_fields_know_their_owner(
    task: Any, monkeypatch: Any
) -> None:
    _, made = bound(task, "", {}, monkeypatch)
    assert task[0].object.CALLS == [1]
    assert made.field_owners == {"mine": "my_task"}


def test_a_secret_in_a_file_is_refused_with_the_file_and_its_variable(
    task: Any, tmp_path: Path
) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[plugin.my_task]\nkey = "hush"\n')
    with pytest.raises(ConfigError) as caught:
        with_environment(config.parse(["--config", str(file), "--plugin", "my_task"]), task)
    first, cure = str(caught.value).splitlines()
    assert str(file) in first
    assert first.endswith("is a secret, which shell histories and files would keep")
    assert cure == "  give it in the environment variable SLIME_MY_TASK_KEY only"
    assert "hush" not in str(caught.value)


def test_a_file_is_weaker_than_the_environment(task: Any, tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[plugin.my_task]\nsize = 2\n")
    plan, _ = bound(task, f"--config {file}", {"SLIME_MY_TASK_SIZE": "3"}, monkeypatch)
    assert plan.options["my_task"]["size"] == 3


def test_a_variable_belongs_to_the_longest_plugin_name_that_it_begins_with(
    site: Any, monkeypatch: Any
) -> None:
    site.plugin("my", TASK.replace("mine", "of_my"))
    site.plugin("my_task", TASK)
    raw = with_environment(
        config.parse(["--model", "m", "--plugin", "my", "--plugin", "my_task"]),
        load(["my", "my_task"]),
        {"SLIME_MY_TASK_SIZE": "3", "SLIME_MY_SIZE": "4"},
    )
    assert config.resolve(raw, {}).plugin == {"my": {"size": "4"}, "my_task": {"size": "3"}}


@pytest.mark.parametrize(
    ("name", "plugin"), [("SLIME_PLUGINS_BLOCK", "plugins"), ("SLIME_IMPORT_TIMEOUT_S", "import")]
)
def test_variables_of_the_host_are_no_options_of_a_plugin_of_that_name(
    site: Any, name: str, plugin: str
) -> None:
    site.plugin(plugin, "@hookimpl\ndef slime_reward(sample): return 1.0\n")
    raw = with_environment(
        config.parse(["--model", "m", "--plugin", plugin]), load([plugin]), {name: "5"}
    )
    assert config.resolve(raw, {}).plugin == {}


@pytest.mark.parametrize(
    ("table", "explained"),
    [({"size": 3}, True), ({"size": 3, "names": []}, False), ({"names": []}, False), ({}, False)],
)
def test_a_table_of_another_runs_plugin_is_explained_by_the_environment_alone(
    monkeypatch: Any, table: dict[str, Any], explained: bool
) -> None:
    monkeypatch.setenv("SLIME_MY_TASK_SIZE", "3")
    assert explains("my_task", table) is explained
