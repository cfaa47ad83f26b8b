"""``slime plugins`` answers however broken a plugin is, in a shape that programs can rely on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slime_core.cli.main import main
from slime_core.config.schema import Config
from slime_core.plugins import Policy, bind, find, load

Install = Callable[[str, str], None]


def answer(capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, Any]:
    status = main(["plugins", *line, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_the_list_has_a_versioned_shape_and_imports_nothing(
    install_plugin: Install, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    install_plugin("loud", "raise RuntimeError")
    status, tree = answer(capsys, "list", "--block", "loud")
    assert (status, tree["schema"]) == (0, "slime.plugins.list/1")
    assert next(one for one in tree["plugins"] if one["name"] == "loud") == {
        "name": "loud",
        "distribution": "loud-task",
        "version": "1.0",
        "entry_point": "loud_task",
        "location": str(tmp_path / "site"),
        "requires_api": ">=0.1,<0.2",
        "status": "blocked",
        "detail": "by --block loud",
        "blocked_by": "--block loud",
        "blocked_hooks": {},
    }
    assert "loud_task" not in sys.modules


def test_the_doctor_fails_for_a_crashing_plugin(
    install_plugin: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install_plugin("crash", "import os; os.kill(os.getpid(), 11)")
    status, tree = answer(capsys, "doctor", "crash")
    (found,) = tree["plugins"]
    assert (status, tree["schema"], tree["ok"]) == (1, "slime.plugins.doctor/1", False)
    assert found["probe"] == {
        "outcome": "killed",
        "error": "SIGSEGV at import; it said nothing",
        "import_s": None,
        "heavy": [],
        "cuda": False,
        "hooks": [],
    }
    assert found["problems"] == ["SIGSEGV at import; it said nothing"]


def test_the_schema_of_options_is_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    status, tree = answer(capsys, "schema", "grpo")
    assert (status, tree["schema"], tree["plugin"]) == (0, "slime.plugins.schema/1", "grpo")
    assert tree["options"]["properties"].keys() == {"normalize_std"}


def test_a_lock_is_written_and_taken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "x.lock"
    assert main(["plugins", "lock", "grpo", "--output", str(file)]) == 0
    tree = json.loads(file.read_text())
    assert tree["schema"] == "slime.plugins.lock/1"
    built_in = {one.name for one in find() if one.distribution == "slime-rl"}
    assert {one["name"] for one in tree["plugins"]} == built_in


def test_a_lock_of_one_plugin_holds_the_built_in_ones_that_serve_beside_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "x.lock"
    assert main(["plugins", "lock", "math_dapo", "--output", str(file)]) == 0
    config = Config(plugins=["math_dapo"], locked=file)
    plan, _ = bind(config, load(config.plugins, policy=Policy.of(locked=file)))
    assert {"math_dapo", "grpo", "broadcast", "policy_loss"} <= {one.name for one in plan.plugins}
    assert "sft" not in {one["name"] for one in json.loads(file.read_text())["plugins"]}


@pytest.mark.parametrize("line", [[], ["lost"], ["info"], ["info", "no_such"], ["list", "--jsn"]])
def test_a_wrong_question_exits_with_2(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", *line]) == 2
    assert "Traceback" not in capsys.readouterr().err
