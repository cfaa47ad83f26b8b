"""Which code made a sample is told by the sample, the saved rollout, the summary and the resume."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from slime_hookspecs import PluginError, RunInfo

from slime_core.config.schema import Config, RolloutConfig
from slime_core.launch import Launch
from slime_core.observe.rundir import RunDir
from slime_core.plugins import Plan, bind, load
from slime_core.rollout import files
from slime_core.rollout.provenance import by_role, origins
from slime_core.rollout.worker import RolloutWorker
from slime_core.run import conclude, open_run_dir

TASK = """
from slime_hookspecs import KEEP, Prompt, StopReason, hookimpl


class Source:
    def take(self, count):
        return [Prompt("p", [{"role": "user", "content": "1+1="}], label="2")] * count

    def state(self):
        return {}

    def restore(self, state):
        pass


@hookimpl
def slime_data_source():
    return Source()


@hookimpl
async def slime_generate(sample, engine):
    sample.trace.append_prompt([1])
    sample.trace.append_demonstrated([2])
    sample.stop = StopReason.DEMONSTRATED
    return sample


@hookimpl
def slime_filter(group):
    return KEEP
"""
REWARD = """
from slime_hookspecs import hookimpl


@hookimpl
async def slime_reward(sample):
    return 1.0
"""
ADVANTAGE = """
from slime_hookspecs import hookimpl


@hookimpl
def slime_advantage(group):
    return [1.0 for _ in group.scored]
"""
LOSS = """
from slime_hookspecs import hookimpl


@hookimpl
def slime_loss(batch, policy):
    return None
"""
PLUGINS = {"own_task": TASK, "own_reward": REWARD, "own_advantage": ADVANTAGE, "own_loss": LOSS}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Four installed distributions, each a plugin."""
    folder = tmp_path / "site"
    for name, text in PLUGINS.items():
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        dist = name.replace("_", "-")
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n"
            "Requires-Dist: slime-hookspecs>=0.1\n"
        )
        (info / "entry_points.txt").write_text(f"[slime.plugins]\n{name} = {name}\n")
        (info / "RECORD").write_text(f"{name}.py,,\n")
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    forget()


def forget() -> None:
    """As a new process begins."""
    for name in PLUGINS:
        sys.modules.pop(name, None)


def code(name: str, text: str) -> str:
    """The digest of a plugin that is one file, computed apart from the code under test."""
    head = f"{name}.py\0{len(text.encode())}\0".encode()
    return hashlib.sha256(head + text.encode()).hexdigest()


def launch_of(model: Path, **settings: object) -> Launch:
    forget()
    config = Config(
        plugins=list(PLUGINS),
        model=model,
        use=["advantage=own_advantage", "loss=own_loss"],
        rollout=RolloutConfig(prompts_per_step=1, samples_per_prompt=2),
    )
    config = replace(config, **settings)
    return Launch(config, *bind(config, load(config.plugins)))


def info_of(folder: Path, model: Path) -> RunInfo:
    return RunInfo("t", folder, model, 0, 1, 1, 2, 8)


async def test_a_saved_sample_tells_distribution_version_and_code_of_each_role(
    site: Path, tmp_path: Path, tiny_model_dir: Path
) -> None:
    launch = launch_of(tiny_model_dir)
    info = info_of(tmp_path / "run", tiny_model_dir)
    worker = RolloutWorker(launch.config, launch.plan.to_json(), info, None)
    try:
        await worker.start()
        await worker.generate(0, 0)
    finally:
        await worker.close()
    rows = files.lines(files.path_of(tmp_path / "run/rollouts", 0))
    task = f"own_task (own-task 1.0, code {code('own_task', TASK)[:12]})"
    advantage = code("own_advantage", ADVANTAGE)[:12]
    expected = {
        "data_source": task,
        "generate": task,
        "filter": task,
        "reward": f"own_reward (own-reward 1.0, code {code('own_reward', REWARD)[:12]})",
        "advantage": f"own_advantage (own-advantage 1.0, code {advantage})",
    }
    assert [json.loads(row)["provenance"] for row in rows] == [expected, expected]


def test_the_summary_names_each_plugin_of_the_plan(
    site: Path, tmp_path: Path, tiny_model_dir: Path
) -> None:
    launch = launch_of(tiny_model_dir)
    run_dir = open_run_dir(launch, info_of(tmp_path / "run", tiny_model_dir))
    conclude(launch, run_dir, "success", None, 0.0, 1.0)
    plugins = json.loads((tmp_path / "run/summary.json").read_text())["plugins"]
    assert plugins == origins(launch.plan)
    own_loss = f"own_loss (own-loss 1.0, code {code('own_loss', LOSS)[:12]})"
    assert plugins["own_loss"] == own_loss
    assert set(plugins) >= set(PLUGINS)


@pytest.mark.parametrize("name", ["own_reward", "own_advantage", "own_loss"])
def test_a_resume_with_another_reward_advantage_or_loss_is_refused_unless_allowed(
    name: str, site: Path, tmp_path: Path, tiny_model_dir: Path
) -> None:
    info = info_of(tmp_path / "run", tiny_model_dir)
    started = launch_of(tiny_model_dir)
    open_run_dir(started, info)
    resume = replace(launch_of(tiny_model_dir), resume=info.directory)
    open_run_dir(resume, info)  # nothing has changed

    (site / f"{name}.py").write_text(PLUGINS[name] + "# edited in place\n")
    changed = replace(launch_of(tiny_model_dir), resume=info.directory)
    role = name.removeprefix("own_")
    with pytest.raises(PluginError) as caught:
        open_run_dir(changed, info)
    said = str(caught.value)
    assert said.startswith("the plugins of this run have changed since it was started:")
    edited = code(name, PLUGINS[name] + "# edited in place\n")[:12]
    assert f"{role}: the code of {name} changed: own-{role} 1.0 (code " in said
    assert f" -> own-{role} 1.0 (code {edited})" in said
    assert "--allow-changed-plugins" in said
    saved = RunDir.open(info.directory).plan_file
    assert Plan.from_json(saved.read_text()) == started.plan

    allowed = launch_of(tiny_model_dir, allow_changed_plugins=True)
    open_run_dir(replace(allowed, resume=info.directory), info)
    kept = Plan.from_json(saved.read_text())
    assert kept == allowed.plan
    assert kept != started.plan


def test_a_resume_with_another_data_source_or_filter_is_not_refused(
    site: Path, tmp_path: Path, tiny_model_dir: Path
) -> None:
    info = info_of(tmp_path / "run", tiny_model_dir)
    open_run_dir(launch_of(tiny_model_dir), info)
    (site / "own_task.py").write_text(TASK + "# edited\n")
    open_run_dir(replace(launch_of(tiny_model_dir), resume=info.directory), info)


def test_a_role_of_several_plugins_names_all_and_an_idle_one_is_absent(
    site: Path, tiny_model_dir: Path
) -> None:
    bound = launch_of(tiny_model_dir).bound
    hooks = {"reward": [*bound.all("slime_reward"), *bound.all("slime_filter")], "wrap_reward": []}
    assert by_role(hooks, {"own_task": "own_task (x)"}) == {
        "reward": "own_reward 1.0, own_task (x)"
    }
