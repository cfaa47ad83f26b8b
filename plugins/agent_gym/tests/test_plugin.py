"""The plugin as a whole: its import, its binding, its certificate, its documentation."""

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
import slime_plugin_agent_gym as plugin
from slime_hookspecs import ConfigError, PluginError, StopReason
from slime_hookspecs.testing.kit import ScriptedEngine, make_context, make_run, make_sample
from slime_plugin_agent_gym import Options, slime_conformance, slime_reward
from slime_plugin_agent_gym.loading import GAMES, factory

README = Path(__file__).parents[1] / "README.md"


def test_the_entry_point_is_the_package() -> None:
    (found,) = entry_points(group="slime.plugins", name="agent_gym")
    assert found.load() is plugin


def test_it_needs_the_contract_alone_and_textarena_where_asked() -> None:
    needed = [one for one in requires("slime-plugin-agent-gym") or () if "extra ==" not in one]
    assert [re.split(r"[^\w-]", one)[0] for one in needed] == ["slime-hookspecs"]


def test_importing_it_imports_no_environment() -> None:
    code = (
        "import sys, slime_plugin_agent_gym as p; p.slime_options()();"
        "sys.exit(bool({'numpy', 'gymnasium', 'textarena'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_its_certificate_has_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    tool = str(Path(sys.executable).parent / "slime-conformance")
    command = [tool, "agent_gym", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    certificate = json.loads(path.read_text())
    assert certificate["ok"]
    assert certificate["counts"]["run"] > 70


def bound(table: dict[str, Any], **more: Any) -> Any:
    """The plugins of a run with these options."""
    from slime_core.config.schema import Config
    from slime_core.plugins import bind, load

    config = Config(plugins=["agent_gym"], plugin={"agent_gym": table}, **more)
    return bind(config, load(["agent_gym"]))[1]


def test_a_run_plays_and_scores_through_its_bound_hooks() -> None:
    found = bound({"env": "number_guessing", "env_args": {"most": 3}, "max_turns": "5"})
    options = found.options("agent_gym")
    run = make_run()
    ctx = make_context(options=options, run=run)
    (prompt,) = found.one("slime_data_source").call(options, run).take(1)
    engine = ScriptedEngine(["1", "2", "3"])
    sample = asyncio.run(found.one("slime_generate").call(make_sample(prompt), engine, ctx))
    assert sample.stop is StopReason.STOP
    (hook,) = found.all("slime_reward")
    assert asyncio.run(hook.call(sample, ctx)).value == 1.0


def test_turns_are_credited_by_the_built_in_that_reads_its_field() -> None:
    table = {"env": "number_guessing", "credit": "turns"}
    found = bound(table, use=["token_advantage=reward_to_go"])
    assert found.one("slime_token_advantage").plugin == "reward_to_go"
    assert [field.name for field in found.batch_fields] == ["token_rewards"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"max_trns": 3}, "no option 'max_trns'; did you mean 'max_turns'"),
        ({"max_turns": "many"}, "option 'max_turns' .* is 'many'"),
        ({"credit": "all"}, "option 'credit' .* is 'all'"),
    ],
)
def test_wrong_options_are_refused_by_name(table: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, PluginError), match=message):
        bound({"env": "number_guessing", **table})


def test_games_and_the_class_of_the_readme_can_be_played(tmp_path: Path) -> None:
    for name in GAMES:
        env = factory(name)()
        assert isinstance(env.reset(seed=1)[0], str)
        assert len(env.step("1")) == 5
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    space: dict[str, Any] = {}
    exec(block, space)
    maze = space["Maze"]()
    assert maze.reset(seed=1) == ("You are at a crossing.", {})
    assert maze.step("north")[1:3] == (1.0, True)


async def test_examples_for_the_suite_are_what_they_say() -> None:
    told = slime_conformance()
    ctx = make_context(options=Options(**told.options))
    for examples, value in ((told.gold, 1.0), (told.bad, 0.0)):
        for prompt, response in examples:
            sample = make_sample(prompt, response=response)
            assert (await slime_reward(sample, ctx)).value == value
