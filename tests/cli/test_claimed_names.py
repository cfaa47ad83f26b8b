"""Every command takes ``--block`` and ``--trust`` as the answer to a name that two claim."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from slime_core.cli.main import main

REWARD = (
    "from dataclasses import dataclass, field\n"
    "from slime_hookspecs import hookimpl\n"
    "@hookimpl\ndef slime_reward(sample): return 1.0\n"
    "@dataclass(frozen=True)\nclass Options:\n"
    "    size: int = field(default=1, metadata={'help': 'how many'})\n"
    "@hookimpl\ndef slime_options(): return Options\n"
)


@pytest.fixture(autouse=True)
def two_claims(install_plugin: Callable[[str, str], None], tmp_path: Path) -> None:
    """``well`` is claimed by well-task and by other-task."""
    install_plugin("well", REWARD)
    install_plugin("other", REWARD)
    points = tmp_path / "site" / "other_task-1.0.dist-info" / "entry_points.txt"
    points.write_text("[slime.plugins]\nwell = other_task\n")


@pytest.mark.parametrize("rule", [("--block", "other-task"), ("--trust", "well-task")])
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("doctor", "well"), "ok         well (well-task 1.0)"),
        (("info", "well"), "well-task"),
        (("schema", "well"), "--well.size"),
        (("lock", "well", "--output", "FILE"), "plugins"),
    ],
)
def test_the_commands_answer_for_the_one_that_is_left(
    command: tuple[str, ...],
    said: str,
    rule: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    file = tmp_path / "x.lock"
    line = [str(file) if word == "FILE" else word for word in command]
    assert main(["plugins", *line]) == 2
    assert "several distributions claim the plugin name 'well'" in capsys.readouterr().err
    assert main(["plugins", *line, *rule]) == 0
    assert said in capsys.readouterr().out
    if command[0] == "lock":
        locked = {one["distribution"] for one in json.loads(file.read_text())["plugins"]}
        assert locked == {"slime-rl", "well-task"}


@pytest.mark.parametrize("rule", [("--block", "other-task"), ("--trust", "well-task")])
def test_a_run_and_its_help_take_the_one_that_is_left(
    rule: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--plugin", "well", "--help", *rule]) == 0
    assert "options of plugin well (well-task 1.0):" in capsys.readouterr().out
    line = ["--plugin", "well", "--model", "/nowhere", "--dry-run"]
    assert main(line) == 2
    assert "several distributions claim" in capsys.readouterr().err
    main([*line, *rule])
    assert "# 1. well (well-task 1.0): " in capsys.readouterr().out.replace("#   ", "# ")
