"""A process that finds other plugins than the driver's is named, with each difference."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slime_core.config.schema import Config
from slime_core.plugins import Plan, bind, load

REWARD = "@hookimpl\ndef slime_reward(sample): return 1.0\n"

PROGRAM = """
import json, pathlib, sys
from slime_core.plugins import Plan, bind_plan, observe_plan
plan = Plan.from_json(pathlib.Path(sys.argv[1]).read_text())
def told(action):
    try:
        return action()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
print(json.dumps([
    told(lambda: observe_plan(plan).fingerprint),
    told(lambda: bind_plan(plan).one("slime_loss").plugin),
]))
"""


def elsewhere(plan: Plan, folder: Path, tmp_path: Path) -> tuple[str, list[str]]:
    """Fingerprint and lines of the answer of a process that imports from another folder."""
    file = tmp_path / "plan.json"
    file.write_text(plan.to_json())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file)],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    fingerprint, bound = json.loads(done.stdout)
    return fingerprint, bound.splitlines()


@pytest.fixture
def plan(site: Any) -> Plan:
    """The driver's plan with two plugins of one file each."""
    for name in ("task", "other"):
        site.plugin(name, REWARD)
    made, _ = bind(Config(plugins=["task", "other"]), load(["task", "other"]))
    return made


@pytest.fixture
def node(site: Any, tmp_path: Path) -> Any:
    """The folder of another node, with the same plugins so far."""
    made = type(site)(tmp_path / "node")
    for name in ("task", "other"):
        made.plugin(name, REWARD)
    return made


WHO = (
    f"PluginError: node {socket.gethostname()} ({sys.prefix}) does not have the plugins of the "
    "run; the run's stand on the left, its own on the right"
)


def test_the_same_files_in_another_folder_are_the_same_plan(
    plan: Plan, node: Any, tmp_path: Path
) -> None:
    assert elsewhere(plan, node.folder, tmp_path) == (plan.fingerprint, ["policy_loss"])


def newer(node: Any) -> None:
    info = node.folder / "slime_plugin_task-1.0.dist-info"
    (info / "METADATA").write_text((info / "METADATA").read_text().replace("1.0", "1.1"))


def edited(node: Any) -> None:
    file = node.folder / "slime_plugin_task.py"
    file.write_text(file.read_text() + "# a change\n")


def rebuilt(node: Any) -> None:
    record = node.folder / "slime_plugin_task-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + "extra.py,,\n")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (newer, "plugin task: version: 1.0 != 1.1"),
        (edited, "plugin task: source files differ ("),
        (rebuilt, "plugin task: origin: record:"),
    ],
)
def test_a_node_that_differs_says_who_it_is_and_in_what(
    plan: Plan, node: Any, tmp_path: Path, change: Callable[[Any], None], line: str
) -> None:
    change(node)
    fingerprint, (who, what, cure) = elsewhere(plan, node.folder, tmp_path)
    assert fingerprint != plan.fingerprint
    assert who == WHO
    assert what.strip().startswith(line)
    assert cure.strip() == (
        "to install the same there: pip install --force-reinstall slime-plugin-task==1.0"
    )


def test_all_that_differs_is_told_at_once(plan: Plan, node: Any, tmp_path: Path) -> None:
    newer(node)
    edited(node)
    (node.folder / "slime_plugin_other.py").write_text("from slime_hookspecs import *\n" + REWARD)
    (node.folder / "slime_plugin_other.py").open("a").write("x = 1\n")
    _, (who, *lines) = elsewhere(plan, node.folder, tmp_path)
    assert who == WHO
    assert [line.strip().partition(" (")[0] for line in lines] == [
        "plugin task: version: 1.0 != 1.1",
        "plugin task: source files differ",
        "plugin other: source files differ",
        "to install the same there: pip install --force-reinstall slime-plugin-task==1.0 "
        "slime-plugin-other==1.0",
    ]


def test_a_node_without_the_package_is_named_with_the_command(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fingerprint, lines = elsewhere(plan, tmp_path / "empty", tmp_path)
    assert lines == [
        "PluginError: the plan needs plugin 'task' of slime-plugin-task, which is not installed on "
        f"{socket.gethostname()}",
        "  to install it there: pip install slime-plugin-task",
    ]
    assert fingerprint == "\n".join(lines)


def test_a_node_with_another_contract_is_named(plan: Plan, node: Any, tmp_path: Path) -> None:
    newer_host = Plan("0.2", plan.plugins, plan.roles, plan.weights, plan.options)
    _, lines = elsewhere(newer_host, node.folder, tmp_path)
    assert lines == [
        WHO,
        "  contract: 0.2 != 0.1",
        "  to install the same there: pip install --force-reinstall 'slime-hookspecs==0.2.*'",
    ]
