"""Options come from the environment under the command line; secrets come from nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from slime_hookspecs import ConfigError

from slime_core import config
from slime_core.plugins import bind, load, with_environment

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
