"""Broken plugins of the zoo meet the checks of a run: what one call can tell is told there too."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rollout_fakes import FakeClient, Source, bound_of, config_of, hook
from slime_hookspecs import Prompt, RunInfo, Sample, SlimeError

from slime_core.config.schema import Config
from slime_core.plugins import bind, load
from slime_core.rollout.contexts import Contexts, Scene
from slime_core.rollout.drawing import Drawing
from slime_core.rollout.hooks import look_up
from slime_core.rollout.lag import Suspects
from slime_core.rollout.live_checks import LiveChecks
from slime_core.rollout.observers import Observers
from slime_core.rollout.source import open_source
from slime_core.rollout.studio import Studio

ZOO = Path(__file__).parents[1] / "zoo"
CAUGHT = {
    "advantage_nan": "must be a finite number",
    "advantage_stores_it": "it changed advantage of sample",
    "filter_prose": "use a word like 'zero_variance'",
    "filter_sorts": "it changed the group's list of samples",
    "generate_no_stop": "it left sample.stop unset",
    "generate_writes_into_prompt": "it changed sample.prompt",
    "group_reward_writes": "it changed",
    "reward_writes": "it changed",
    "same_id": "two different prompts have the id",
    "takes_too_many": "it must give no more than asked for",
}


@pytest.fixture
def culprit(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The exact spelling of a culprit of the zoo that can be imported now."""
    folder = ZOO / request.param
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    entries = project["entry-points"]["slime.plugins"]
    for path in folder.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    info = tmp_path / f"{project['name'].replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    head = [f"Name: {project['name']}", "Version: 1.0"]
    head += [f"Requires-Dist: {one}" for one in project["dependencies"]]
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *head, ""]))
    points = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[slime.plugins]", *points, ""]))
    (info / "RECORD").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield f"{project['name']}:{next(iter(entries))}"
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) in map(str, tmp_path.glob("*.py")):
            del sys.modules[name]


class Sums(Source):
    """Prompts as the zoo's rewards know them."""

    def take(self, count: int) -> list[Prompt]:
        found = super().take(count)
        return [Prompt(one.id, one.messages, str(one.label + 1)) for one in found]


async def unequal(sample: Sample, ctx: Any) -> float:
    """Rewards that differ within every second group, first up and then down."""
    return float(sample.index * 7 % 5) if sample.group_index % 2 else 1.0


async def roll(spelling: str, checks: int) -> None:
    """Two steps of a run with a culprit; rewards that are plain functions run in this process."""
    config = config_of(check_plugins=checks, max_failed_fraction=0.0)
    _, bound = bind(Config(plugins=[spelling]), load([spelling]))
    live = LiveChecks(checks)
    plugin = spelling.rpartition(":")[2]
    own = [one for hooks in bound.hooks.values() for one in hooks if one.plugin == plugin]
    if not any(one.hook == "slime_reward" for one in own):
        own.append(hook("slime_reward", unequal, "other"))
    hooks = look_up(bound_of(*own, source=Sums()))
    run = RunInfo("t", Path("/nowhere"), Path("/nowhere"), 0, 9, 4, 2, 16)
    parts = Contexts(run), Observers(), 64, InProcess(live), live, Suspects(hooks)
    studio = Studio(config, run, hooks, *parts)  # type: ignore[arg-type]
    drawing = Drawing(open_source(hooks.data_source, run, live), 2, hooks.provenance)
    for step in range(2):
        await studio.roll(Scene(step, 1), FakeClient(), drawing)


class InProcess:
    """Stands for the reward workers: checks and calls as they do, without the processes."""

    def __init__(self, checks: LiveChecks) -> None:
        self._checks = checks

    async def run(self, one: Any, subject: Any, context: Any) -> Any:
        return self._checks.hook(one).call(subject, context)


@pytest.mark.parametrize(
    ("culprit", "found"), CAUGHT.items(), ids=list(CAUGHT), indirect=["culprit"]
)
async def test_a_culprit_is_caught_on_its_first_calls(culprit: str, found: str) -> None:
    with pytest.raises(SlimeError) as caught:
        await roll(culprit, checks=16)
    assert found in str(caught.value)
    assert culprit.rpartition(":")[2] in str(caught.value)
    assert "looks at all promises" in str(caught.value)


SILENT = ["advantage_stores_it", "filter_prose", "filter_sorts", "reward_writes", "same_id"]


@pytest.mark.parametrize("culprit", SILENT, indirect=True)
async def test_without_the_checks_it_goes_on_in_silence(culprit: str) -> None:
    await roll(culprit, checks=0)
