"""What cannot be started is found before a run begins; options that no task can serve as well."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import ConfigError
from slime_plugin_agent_blackbox import Options, launch, rewards
from slime_plugin_agent_blackbox.errors import RewardFailed
from slime_plugin_agent_blackbox.options import AGENT, SCORE, is_function


@pytest.mark.parametrize(
    "command",
    ["true", "/bin/sh -c 'exit 0'", "{python} -c pass", "sh -c 'echo ${promt} {\"a\": 1} {x}'"],
)
def test_commands_that_can_be_started_are_taken(command: str) -> None:
    launch.check(Options(command=command, reward="exit-status"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no_such_command_at_all", "there is no command 'no_such_command_at_all' on PATH"),
        ("/no/such/agent.sh", "there is no file /no/such/agent.sh"),
        ("/etc/passwd x", "/etc/passwd is not executable; chmod [+]x /etc/passwd"),
        ("true 'open", "cannot be parted into words"),
        ("   ", "has no words"),
        ("true {promt}", "there is no {promt}; did you mean 'prompt'"),
    ],
)
def test_commands_that_cannot_be_started_are_refused(command: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        launch.check(Options(command=command))


def test_a_script_that_is_where_slime_was_started_needs_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent.py").write_text("")
    with pytest.raises(ConfigError, match=r"folders of their own: write \{here\}/agent.py"):
        launch.check(Options(command="{python} agent.py"))
    launch.check(Options(command="{python} {here}/agent.py"))
    launch.check(Options(command="{python} there.py"))


def test_there_must_be_an_agent() -> None:
    with pytest.raises(ConfigError, match="has no agent; name one with"):
        launch.check(Options())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:run", "No module named 'no_such_module'"),
        ("blackbox_functions:agnt", "has no attribute 'agnt'"),
        ("blackbox_functions:NOT_CALLABLE", "which cannot be called"),
        ("blackbox_exits:run", "it ended with status 3"),
        ("blackbox_raises:run", "ZeroDivisionError"),
    ],
)
def test_functions_that_cannot_be_imported_are_refused_and_do_no_harm_here(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "blackbox_exits.py").write_text("import os; os._exit(3)")
    (tmp_path / "blackbox_raises.py").write_text("1 / 0")
    with pytest.raises(ConfigError, match=f"callable is '{name}', and it cannot.*{message}"):
        launch.check(Options(callable=name))
    with pytest.raises(ConfigError, match=f"reward is '{name}', and it cannot.*{message}"):
        launch.check(Options(command="true", reward=name))


def test_functions_that_can_be_imported_are_not_imported_here() -> None:
    sys.modules.pop("blackbox_functions", None)
    launch.check(Options(callable="blackbox_functions:agent", reward="blackbox_functions:by_notes"))
    assert "blackbox_functions" not in sys.modules


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "sum"}, 'the built-in one is "sums"'),
        ({"task": "sums", "data": "x.jsonl"}, "task and agent_blackbox.data are both set"),
        ({"command": "true", "callable": "a:b"}, "command and agent_blackbox.callable are both"),
        ({"callable": "a.b"}, "it must be module:function"),
        ({"reward": "status"}, "it must be exit-status, file or module:function"),
        ({"timeout_s": 0.0}, "timeout_s is 0.0; it must be 0.1 to"),
        ({"concurrency": 0}, "concurrency is 0; it must be 1 to"),
        ({"max_tokens": 0}, "max_tokens is 0; it must be 1 to"),
        ({"limit_reward": float("nan")}, "limit_reward is nan"),
        ({"output_chars": -1}, "output_chars is -1"),
        ({"reward_range": [1.0]}, r"it must be \[lowest, highest\]"),
        ({"reward_range": [1.0, 0.0]}, r"it must be \[lowest, highest\]"),
    ],
)
def test_options_that_no_task_can_serve_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Options(**options)


def test_a_built_in_task_brings_what_the_user_does_not() -> None:
    whole = Options(task="sums").whole
    assert (whole.callable, whole.command, whole.reward) == (AGENT, "", SCORE)
    whole = Options(task="sums", command="true", reward="exit-status").whole
    assert (whole.callable, whole.command, whole.reward) == ("", "true", "exit-status")
    assert Options(command="true").whole == Options(command="true")


@pytest.mark.parametrize("name", ["a:b", "a.b:c.d", "a_1:b_2"])
def test_names_of_functions(name: str) -> None:
    assert is_function(name)


@pytest.mark.parametrize("name", ["", "a", "a.b", ":b", "a:", "a:b:c", "a b:c", "a/b.py:c"])
def test_what_is_no_name_of_a_function(name: str) -> None:
    assert not is_function(name)


@pytest.mark.parametrize(
    ("value", "reward", "metrics"),
    [
        (1, 1.0, {}),
        (-0.5, -0.5, {}),
        ({"reward": 1}, 1.0, {}),
        ({"reward": 0.5, "metrics": {"tests": 3}}, 0.5, {"tests": 3.0}),
        ({"reward": 0.5, "metrics": None}, 0.5, {}),
    ],
)
def test_rewards_are_numbers_or_tables(value: Any, reward: float, metrics: Any) -> None:
    found = rewards.parsed(value, Options(), "it")
    assert (found.value, found.metrics) == (reward, metrics)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the reward is None; it must be a number"),
        (True, "the reward is True; it must be a number"),
        ("1", "the reward is '1'; it must be a number"),
        ([1], r"the reward is \[1\]; it must be a number"),
        (float("-inf"), "the reward is -inf; it must be finite"),
        (10**400, "the reward is inf; it must be finite"),
        (2, "gives the reward 2.0, outside -1.0 to 1.0"),
        ({"rewrd": 1}, "has 'rewrd'; it may have reward and metrics"),
        ({}, "has no 'reward'"),
        ({"reward": 1, "metrics": [1]}, r"has metrics \[1\]; they must be numbers by name"),
        ({"reward": 1, "metrics": {"a": "x"}}, "'a' is 'x'; it must be a number"),
        ({"reward": 1, "metrics": {"a": float("nan")}}, "'a' is nan; it must be finite"),
    ],
)
def test_what_is_no_reward_is_told(value: Any, message: str) -> None:
    with pytest.raises(RewardFailed, match=f"^it.*{message}"):
        rewards.parsed(value, Options(reward_range=[-1.0, 1.0]), "it")
