"""A plan travels as JSON, binds the same hooks elsewhere, and its fingerprint shows changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import PluginError

from slime_core.config.schema import Config
from slime_core.plugins import (
    Plan,
    PlannedPlugin,
    bind,
    bind_plan,
    compare,
    differences,
    load,
    observe_plan,
)

TASK = """
from dataclasses import dataclass, field
from pathlib import Path
from slime_hookspecs import *

@dataclass(frozen=True)
class Options:
    data: Path = Path("here")
    sizes: tuple[int, ...] = (1, 2)
    names: frozenset[str] = frozenset({"x", "a", "m"})
    key: str = field(default="none", metadata={"secret": True})

@hookimpl
def slime_options(): return Options

@hookimpl
def slime_reward(sample, ctx): return 1.0

@hookimpl
async def slime_generate(engine, sample): return sample, engine

@hookimpl
def slime_batch_fields(): return [BatchField("turns", per="sample")]
"""
GENERATE = "@hookimpl\nasync def slime_generate(sample): ...\n"


@pytest.fixture
def task(site: Any) -> Any:
    """A package with a helper module, and a plan that uses it."""
    site.install(
        "slime-plugin-task",
        plugins={"task": "task_package.hooks"},
        files={
            "task_package/__init__.py": "",
            "task_package/hooks.py": TASK,
            "task_package/deep/grading.py": "answer = 42",
        },
    )
    return site


def plan_of(**settings: Any) -> Plan:
    return bind(Config(**settings), load(settings["plugins"]))[0]


def task_plan(**options: Any) -> Plan:
    return plan_of(plugins=["task"], plugin={"task": options})


def test_a_plan_says_exactly_what_runs(task: Any) -> None:
    plan = task_plan(data="/there")
    first = plan.plugins[0]
    assert first == PlannedPlugin(
        name="task",
        distribution="slime-plugin-task",
        version="1.0",
        value="task_package.hooks",
        origin=first.origin,
        code=first.code,
        hooks=("slime_options", "slime_generate", "slime_reward", "slime_batch_fields"),
    )
    assert first.origin.startswith("record:")
    assert [one.name for one in plan.plugins] == ["task", "grpo", "broadcast", "policy_loss"]
    assert plan.roles["generate"] == "task"
    assert plan.weights == {"task": 1.0}
    assert plan.options["task"] == {"data": "/there", "sizes": [1, 2], "names": ["a", "m", "x"]}


def test_a_plan_survives_json_and_is_the_same_each_time(task: Any) -> None:
    plan = task_plan(sizes=[3])
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json()).fingerprint == plan.fingerprint
    assert task_plan(sizes=[3]).to_json() == plan.to_json()


def test_secrets_are_in_neither_json_nor_fingerprint(task: Any) -> None:
    plan = task_plan(key="hush")
    assert "hush" not in plan.to_json()
    assert "key" not in plan.options["task"]
    assert plan == task_plan(key="other")


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree["options"]["task"].update(data="elsewhere"),
        lambda tree: tree.pop("roles"),
        lambda tree: tree.pop("options_digest"),
        lambda tree: tree["plugins"][0].update(colour="red"),
    ],
)
def test_a_text_that_is_no_plan_is_refused(task: Any, change: Callable[[Any], Any]) -> None:
    tree = json.loads(task_plan().to_json())
    change(tree)
    with pytest.raises(PluginError, match="plan"):
        Plan.from_json(json.dumps(tree))


@pytest.mark.parametrize("text", ["", "[]", "null", '{"plugins": 3}'])
def test_other_json_is_no_plan(text: str) -> None:
    with pytest.raises(PluginError, match="not a plan"):
        Plan.from_json(text)


def test_binding_a_plan_gives_the_same_hooks_and_options(task: Any) -> None:
    plan, here = bind(Config(plugins=["task"], plugin={"task": {"data": "d"}}), load(["task"]))
    there = bind_plan(Plan.from_json(plan.to_json()))
    assert [(h, [one.plugin for one in v]) for h, v in there.hooks.items()] == [
        (h, [one.plugin for one in v]) for h, v in here.hooks.items()
    ]
    assert there.options("task") == here.options("task")
    assert there.batch_fields == here.batch_fields
    assert there.one("slime_reward").weight == 1.0


def test_secrets_reach_another_process_beside_the_plan_only(task: Any) -> None:
    plan = task_plan(data="/d", key="hush")
    assert bind_plan(plan).options("task").key == "none"
    secrets = {"task": {"key": "hush", "data": "ignored"}}
    options = bind_plan(plan, secrets).options("task")
    assert (options.key, str(options.data)) == ("hush", "/d")


def test_another_process_observes_the_same_plan(task: Any, tmp_path: Path) -> None:
    plan = task_plan()
    (tmp_path / "plan.json").write_text(plan.to_json())
    code = (
        "import sys, pathlib; from slime_core.plugins import *\n"
        "plan = Plan.from_json(pathlib.Path(sys.argv[1]).read_text())\n"
        "bind_plan(plan).one('slime_reward')\n"
        "print(observe_plan(plan).fingerprint)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "plan.json")],
        env={**os.environ, "PYTHONPATH": str(task.folder), "PYTHONHASHSEED": "7"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == plan.fingerprint


@pytest.mark.parametrize("file", ["hooks.py", "deep/grading.py", "__init__.py", "new.py"])
def test_an_edited_or_added_file_changes_the_fingerprint(task: Any, file: str) -> None:
    plan = task_plan()
    assert observe_plan(plan) == plan
    path = task.folder / "task_package" / file
    path.write_text((path.read_text() if path.exists() else "") + "\n# edited\n")
    observed = observe_plan(plan)
    assert observed.fingerprint != plan.fingerprint
    (line,) = differences(plan, observed)
    assert line.startswith("plugin task: source files differ")


def test_an_edit_of_a_plugin_that_is_one_file_changes_the_fingerprint(site: Any) -> None:
    site.plugin("task", GENERATE)
    plan = plan_of(plugins=["task"])
    site.write("slime_plugin_task.py", "# edited")
    site.write("unrelated.py", "# not part of it")
    assert [line[:25] for line in differences(plan, observe_plan(plan))] == [
        "plugin task: source files"
    ]


def test_byte_code_does_not_change_the_fingerprint(task: Any) -> None:
    plan = task_plan()
    task.write("task_package/__pycache__/hooks.cpython-311.pyc", "bytes")
    assert observe_plan(plan) == plan


def test_an_edit_of_one_plugin_leaves_the_others_of_its_package_alone(site: Any) -> None:
    files = {f"many/{name}.py": "from slime_hookspecs import *\n" + GENERATE for name in "ab"}
    site.install(
        "many", plugins={"a": "many.a", "b": "many.b"}, files={"many/__init__.py": "", **files}
    )
    plan = plan_of(plugins=["a", "b"], use=["generate=a"])
    site.write("many/b.py", "from slime_hookspecs import *\n" + GENERATE + "# edited")
    observed = observe_plan(plan)
    assert [
        one.name for one, old in zip(observed.plugins, plan.plugins, strict=True) if one != old
    ] == ["b"]


def test_another_version_shows(task: Any) -> None:
    plan = task_plan()
    older = replace(plan.plugins[0], version="0.9")
    saved = replace(plan, plugins=(older, *plan.plugins[1:]))
    assert differences(saved, observe_plan(saved)) == ["plugin task: version: 0.9 != 1.0"]


@pytest.mark.parametrize(
    ("direct_url", "origin"),
    [
        ({"url": "file:///x", "dir_info": {"editable": True}}, "editable"),
        ({"url": "https://x", "vcs_info": {"vcs": "git", "commit_id": "abc123"}}, "vcs:abc123"),
    ],
)
def test_the_origin_of_a_distribution_is_part_of_the_plan(
    site: Any, direct_url: dict[str, Any], origin: str
) -> None:
    site.plugin("task", GENERATE, direct_url=direct_url)
    assert plan_of(plugins=["task"]).plugins[0].origin == origin


def test_how_a_wheel_was_installed_does_not_change_its_origin(site: Any) -> None:
    info = site.plugin("task", GENERATE)
    plan = plan_of(plugins=["task"])
    record = info / "RECORD"
    extra = f"../../../bin/task,sha256=abc,9\n{info.name}/INSTALLER,sha256=zzz,2\nx.pyc,,\n"
    record.write_text(extra + record.read_text())
    assert observe_plan(plan) == plan
    record.write_text(record.read_text() + "more_code.py,sha256=abc,9\n")
    assert observe_plan(plan) != plan


def test_a_plan_whose_plugin_lost_a_hook_cannot_be_bound(task: Any) -> None:
    plan = task_plan()
    more = replace(plan.plugins[0], hooks=(*plan.plugins[0].hooks, "slime_filter"))
    wrong = replace(plan, plugins=(more, *plan.plugins[1:]))
    with pytest.raises(
        PluginError, match=r"task .* does not implement slime_filter, which the plan"
    ):
        bind_plan(wrong)
    assert differences(wrong, observe_plan(wrong))[0].startswith("plugin task: hooks: ")


def planned(name: str, code: str = "c", version: str = "1", *hooks: str) -> PlannedPlugin:
    return PlannedPlugin(name, f"dist-{name}", version, f"mod_{name}", "editable", code, hooks)


def some_plan(*plugins: PlannedPlugin, **fields: Any) -> Plan:
    return Plan(
        **{"api": "0.1", "roles": {}, "weights": {}, "options": {}, **fields}, plugins=plugins
    )


def test_differences_name_each_thing_that_differs() -> None:
    a = some_plan(
        planned("x"),
        planned("y", "c1"),
        planned("z"),
        roles={"loss": "x"},
        weights={"x": 1.0},
        options={"x": {"clip": 0.2}, "y": {"n": 1}},
    )
    b = some_plan(
        planned("y", "c2"),
        planned("x", "c", "2"),
        planned("w"),
        api="0.2",
        roles={"loss": "y"},
        weights={"x": 0.5},
        options={"x": {"clip": 0.3}, "y": {"n": 1}},
    )
    assert differences(a, b) == [
        "contract: 0.1 != 0.2",
        "plugin w: only in the second plan",
        "plugin z: only in the first plan",
        "plugin x: version: 1 != 2",
        "plugin y: source files differ (c1 != c2)",
        "order of plugins: x, y != y, x",
        "role loss: x != y",
        "weight of x: 1.0 != 0.5",
        "option of x: clip: 0.2 != 0.3",
    ]
    assert differences(a, a) == []


def test_resuming_compares_the_code_of_rewards_losses_and_advantages() -> None:
    saved = some_plan(
        planned("r", "c1", "1", "slime_reward", "slime_filter"),
        planned("g", "c", "1", "slime_group_reward"),
        planned("l", "c", "1", "slime_loss"),
        planned("f", "c1", "1", "slime_filter"),
        planned("t", "c", "1", "slime_token_advantage"),
    )
    current = some_plan(
        planned("r", "c2", "2", "slime_reward", "slime_filter"),
        planned("g", "c", "2", "slime_group_reward"),
        planned("m", "c", "1", "slime_loss"),
        planned("f", "c2", "1", "slime_filter"),
        planned("t", "c", "1", "slime_token_advantage"),
    )
    assert compare(saved, current) == [
        "reward: the code of r changed: dist-r 1 (code c1) -> dist-r 2 (code c2)",
        "loss: l (dist-l 1) no longer serves it",
        "loss: m (dist-m 1) did not serve it in the saved run",
    ]
    assert compare(saved, saved) == []


@pytest.mark.parametrize(
    "hook",
    [
        "slime_reward",
        "slime_group_reward",
        "slime_loss",
        "slime_advantage",
        "slime_token_advantage",
    ],
)
def test_each_learning_hook_is_compared(hook: str) -> None:
    saved, current = (
        some_plan(planned("p", "1", "1", hook)),
        some_plan(planned("p", "2", "1", hook)),
    )
    role = hook.removeprefix("slime_")
    assert compare(saved, current) == [
        f"{role}: the code of p changed: dist-p 1 (code 1) -> dist-p 1 (code 2)"
    ]
