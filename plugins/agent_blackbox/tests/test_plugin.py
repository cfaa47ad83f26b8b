"""The plugin as a whole: its import, its binding, its certificate."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from importlib.metadata import entry_points, requires
from pathlib import Path
from typing import Any

import pytest
import slime_plugin_agent_blackbox as plugin
from slime_hookspecs import ConfigError, PluginError, StopReason
from slime_hookspecs.testing.kit import ScriptedEngine, make_context, make_run, make_sample, serve


def test_the_entry_point_is_the_package() -> None:
    (found,) = entry_points(group="slime.plugins", name="agent_blackbox")
    assert found.load() is plugin


def test_it_needs_the_contract_and_aiohttp_alone() -> None:
    needed = [one for one in requires("slime-plugin-agent-blackbox") or () if "extra" not in one]
    assert sorted(re.split(r"[^\w-]", one)[0] for one in needed) == ["aiohttp", "slime-hookspecs"]


def test_importing_it_imports_no_client_and_no_server() -> None:
    code = (
        "import sys, slime_plugin_agent_blackbox as p; p.slime_options()(); p.slime_conformance();"
        "sys.exit(bool({'aiohttp', 'openai', 'asyncio.subprocess'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_its_sources_import_the_contract_and_never_the_core() -> None:
    sources = list(Path(plugin.__file__).parent.rglob("*.py"))
    assert [one for one in sources if "slime_core" in one.read_text(encoding="utf-8")] == []


@pytest.mark.timeout(600)
def test_its_certificate_has_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    tool = str(Path(sys.executable).parent / "slime-conformance")
    command = [tool, "agent_blackbox", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    certificate = json.loads(path.read_text())
    assert certificate["ok"]
    assert certificate["counts"]["run"] > 70


def bound(table: dict[str, Any]) -> Any:
    """The plugins of a run with these options."""
    from slime_core.config.schema import Config
    from slime_core.plugins import bind, load

    config = Config(plugins=["agent_blackbox"], plugin={"agent_blackbox": table})
    return bind(config, load(["agent_blackbox"]))[1]


def test_a_run_works_and_scores_through_its_bound_hooks(tmp_path: Path) -> None:
    found = bound({"task": "sums"})
    options, run = found.options("agent_blackbox"), make_run(tmp_path)
    ctx = make_context(options=options, run=run)
    (prompt,) = found.one("slime_data_source").call(options, run).take(1)

    async def episode() -> Any:
        engine = ScriptedEngine(["Let me see.", str(prompt.label)])
        async with serve(engine):
            return await found.one("slime_generate").call(make_sample(prompt), engine, ctx)

    sample = asyncio.run(episode())
    assert sample.stop is StopReason.STOP
    assert [segment.kind for segment in sample.trace.segments].count("sampled") == 2
    (hook,) = found.all("slime_reward")
    reward = hook.call(sample, ctx)
    reward = asyncio.run(reward) if asyncio.iscoroutine(reward) else reward
    assert (reward.value, reward.metrics["right"], reward.metrics["calls"]) == (1.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"max_cals": 3}, "no option 'max_cals'; did you mean 'max_calls'"),
        ({"max_calls": "many"}, "option 'max_calls' .* is 'many'"),
        ({"keep": "sometimes"}, "option 'keep' .* is 'sometimes'"),
        ({"reward": "status"}, "it must be exit-status"),
    ],
)
def test_wrong_options_are_refused_by_name(table: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, PluginError), match=message):
        bound({"task": "sums", **table})
