"""The plugin as a whole: its import, its binding, its certificate, a run of two processes."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
from importlib.metadata import entry_points, requires
from pathlib import Path
from typing import Any

import pytest
import slime_plugin_reasoning_gym as plugin
from slime_hookspecs import ConfigError, DataSource, Group, Reward
from slime_hookspecs.testing.kit import make_context, make_run, make_sample
from slime_hookspecs.testing.kit.clock import children
from slime_plugin_reasoning_gym import (
    Options,
    opened,
    slime_conformance,
    slime_data_source,
    slime_eval_sets,
    slime_on_group,
    slime_reward,
)
from slime_plugin_reasoning_gym.answers import extract, harmless

README = Path(__file__).parents[1] / "README.md"


def test_the_entry_point_is_the_package() -> None:
    (found,) = entry_points(group="slime.plugins", name="reasoning_gym")
    assert found.load() is plugin


def test_it_needs_no_more_than_it_says() -> None:
    needed = {re.split(r"[^\w-]", one)[0] for one in requires("slime-plugin-reasoning-gym") or ()}
    assert needed == {"slime-hookspecs", "reasoning-gym"}


def test_its_certificate_has_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    tiers = ("packaging", "data_source.restores", "eval_sets.held_out", "reward.gold", "reward.bad")
    command = ["slime-conformance", "reasoning_gym", "--json", str(path), "--select", *tiers]
    command[0] = str(Path(sys.executable).parent / command[0])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    certificate = json.loads(path.read_text())
    assert certificate["ok"]
    assert certificate["counts"]["run"] > 4


def bound(table: dict[str, Any]) -> Any:
    """The options as a run's configuration gives them to the plugin."""
    from slime_core.config.schema import Config
    from slime_core.plugins import bind, load

    config = Config(plugins=["reasoning_gym"], plugin={"reasoning_gym": table})
    plan, found = bind(config, load(["reasoning_gym"]))
    assert plan.to_json()
    return found


def test_tables_of_a_settings_file_become_data_sets(stand_in: None) -> None:
    import tomllib

    tables = tomllib.loads("""
        tasks = ["counts"]
        timeout_s = 3.25
        eval_size = 0
        [datasets.long]
        task = "counts"
        weight = 2
        config = { least = 7 }
        """)
    found = bound(tables)
    options = found.options("reasoning_gym")
    assert options.datasets == {"long": {"task": "counts", "weight": 2, "config": {"least": 7}}}
    source = found.one("slime_data_source").call(options, make_run())
    assert isinstance(source, DataSource)
    assert {prompt.metadata["dataset"] for prompt in source.take(30)} == {"counts", "long"}


def test_what_is_wrong_in_a_settings_file_is_named_by_its_place() -> None:
    with pytest.raises(ConfigError, match=r"datasets\.long has no 'wait'; did you mean 'weight'"):
        bound({"datasets": {"long": {"wait": 2}}})
    with pytest.raises(ConfigError, match="has no option 'task'; did you mean 'tasks'"):
        bound({"task": "counts"})


def test_the_toml_of_the_readme_is_right() -> None:
    import tomllib

    (block,) = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    tables = tomllib.loads(block)["plugin"]["reasoning_gym"]
    options = Options(**tables)
    source = slime_data_source(options, make_run(seed=2))
    drawn = source.take(24)
    assert {prompt.metadata["dataset"] for prompt in drawn} == {
        "leg_counting",
        "long_sums",
        "sudoku",
    }
    levels = {prompt.metadata["dataset"]: prompt.metadata["level"] for prompt in drawn}
    assert levels == {"leg_counting": 0, "long_sums": 0, "sudoku": 2}


@pytest.mark.usefixtures("stand_in")
def test_driver_and_rollout_process_see_the_same_and_the_driver_keeps_no_process() -> None:
    options = Options(tasks=["counts"], eval_size=3, timeout_s=3.5)
    before = children()
    source = slime_data_source(options, make_run())
    first = [prompt.id for prompt in source.take(4)]
    (held_out,) = slime_eval_sets(options)
    code = (
        "from slime_plugin_reasoning_gym import *\n"
        "from slime_hookspecs.testing.kit import make_run\n"
        "o = Options(tasks=['counts'], eval_size=3, timeout_s=3.5)\n"
        "print([p.id for p in slime_data_source(o, make_run()).take(4)])\n"
        "print([p.id for p in slime_eval_sets(o)[0].prompts])"
    )
    path = ":".join(sys.path)
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": path},
    )
    assert other.stdout == f"{first}\n{[prompt.id for prompt in held_out.prompts]}\n"
    del source
    gc.collect()
    assert children() == before


@pytest.mark.usefixtures("stand_in")
def test_a_run_that_is_resumed_goes_on_with_its_levels_and_windows() -> None:
    """Steps as a run has them: take, score, observe; another process goes on in the middle."""
    options = Options(
        tasks=["counts"],
        datasets={"more": {"task": "counts", "config": {"least": 3}}},
        curriculum=True,
        curriculum_window=3,
        eval_size=0,
        timeout_s=3.75,
    )

    def step(source: Any, run: Any, number: int) -> list[str]:
        ctx = make_context(options=options, run=run)
        prompts = source.take(5)
        for place, prompt in enumerate(prompts):
            right = (number + place) % 3 != 0
            value = Reward(float(right), {"solved": float(right)})
            sample = make_sample(prompt, reward=value.value, rewards={"reasoning_gym": value})
            slime_on_group(Group(place, prompt, [sample]), ctx)
        return [prompt.id for prompt in prompts]

    whole_run, cut_run, resumed_run = (make_run(name=name) for name in ("whole", "cut", "resumed"))
    whole = slime_data_source(options, whole_run)
    expected = [step(whole, whole_run, number) for number in range(8)]
    cut = slime_data_source(options, cut_run)
    before = [step(cut, cut_run, number) for number in range(4)]
    state = json.loads(json.dumps(cut.state()))
    resumed = slime_data_source(options, resumed_run)
    resumed.restore(state)
    after = [step(resumed, resumed_run, number) for number in range(4, 8)]
    assert [*before, *after] == expected
    assert resumed.state() == whole.state()


def test_a_source_that_is_gone_is_not_kept_for_its_run(stand_in: None) -> None:
    run = make_run(name="short")
    source = slime_data_source(Options(tasks=["counts"], eval_size=0, timeout_s=4.0), run)
    assert opened._sources.get(run) is source
    del source
    gc.collect()
    assert opened._sources.get(run) is None


def test_examples_for_the_suite_are_what_they_say() -> None:
    told = slime_conformance()
    ctx = make_context(options=Options())
    for examples, value in ((told.gold, 1.0), (told.bad, 0.0)):
        for prompt, response in examples:
            assert slime_reward(make_sample(prompt, response=response), ctx).value == value
    (program,) = [(prompt, text) for prompt, text in told.bad if prompt.label["task"] == "n_queens"]
    answer = extract(program[1], Options())
    assert answer == "exit()"
    assert not harmless(answer, "n_queens", "Q")
