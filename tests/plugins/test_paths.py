"""Paths among a plugin's options are kept absolute, so that a run goes on from any folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slime_core import config
from slime_core.cli.main import main
from slime_core.config import from_dict, to_dict
from slime_core.config.schema import Config
from slime_core.plugins import (
    Bound,
    Plan,
    bind,
    bind_plan,
    collect_defaults,
    load,
    with_absolute_paths,
    with_environment,
)

TASK = """
from dataclasses import dataclass, field
from pathlib import Path

@dataclass(frozen=True)
class Part:
    file: Path = Path("part")
    size: int = 1

@dataclass(frozen=True)
class Options:
    data: Path | None = None
    cache: Path = Path("cache")
    files: list[Path] = field(default_factory=list)
    kinds: frozenset[Path] = frozenset()
    by_name: dict[str, Path] = field(default_factory=dict)
    part: Part = Part()
    parts: list[Part] = field(default_factory=list)
    name: str = ""
    size: int = 1
    vault: Path = field(default=Path("vault"), metadata={"secret": True})

@hookimpl
def slime_options(): return Options

@hookimpl
def slime_reward(sample): return 1.0
"""


@pytest.fixture(autouse=True)
def folder(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the run is typed in."""
    site.plugin("task", TASK)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def launched(line: str, environ: dict[str, str] | None = None) -> tuple[Config, Plan, Bound]:
    """What the command makes of a command line, up to the launch."""
    raw = config.parse(["--model", "m", "--plugin", "task", *line.split()])
    loaded = load(["task"])
    raw = with_environment(raw, loaded, environ or {})
    asked = config.resolve(raw, collect_defaults(loaded))
    plan, bound = bind(asked, loaded)
    return with_absolute_paths(asked, bound), plan, bound


def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


def test_a_path_of_the_command_line_is_in_the_folder_where_it_is_typed(folder: Path) -> None:
    settled, plan, bound = launched("--task.data data/a.jsonl --task.name data/a.jsonl")
    path = folder / "data/a.jsonl"
    assert bound.options("task").data == path
    assert plan.options["task"]["data"] == str(path)
    assert settled.plugin == {"task": {"data": str(path), "name": "data/a.jsonl"}}


def test_a_path_of_a_file_is_in_the_current_folder_as_those_of_the_core_are(
    folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "settings" / "run.toml"
    file.parent.mkdir()
    file.write_text('run_dir = "out"\n[plugin.task]\ndata = "data/a.jsonl"\n')
    settled, _, bound = launched(f"--config {file}")
    assert settled.run_dir == folder / "out"
    assert bound.options("task").data == folder / "data/a.jsonl"


def test_a_path_of_the_environment_is_absolute_too(folder: Path) -> None:
    settled, plan, bound = launched("", {"SLIME_TASK_DATA": "a", "SLIME_TASK_VAULT": "b"})
    assert settled.plugin["task"] == {"data": str(folder / "a"), "vault": str(folder / "b")}
    assert bound.options("task").vault == folder / "b"
    assert "vault" not in plan.options["task"]


def test_home_and_absolute_paths_are_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert launched("--task.data ~/a")[1].options["task"]["data"] == "/home/me/a"
    assert launched("--task.data /data/a")[1].options["task"]["data"] == "/data/a"


def test_paths_within_other_values_are_found(folder: Path) -> None:
    environ = {
        "SLIME_TASK_FILES": '["a", "/b"]',
        "SLIME_TASK_KINDS": '["a"]',
        "SLIME_TASK_BY_NAME": '{"x": "a"}',
        "SLIME_TASK_PART": '{"file": "a"}',
        "SLIME_TASK_PARTS": '[{"file": "a", "size": 2}, {"size": 3}]',
    }
    settled, _, _ = launched("", environ)
    a = str(folder / "a")
    assert settled.plugin["task"] == {
        "files": [a, "/b"],
        "kinds": [a],
        "by_name": {"x": a},
        "part": {"file": a},
        "parts": [{"file": a, "size": 2}, {"size": 3}],
    }
    assert launched("--task.files a")[0].plugin["task"] == {"files": [a]}


@pytest.mark.parametrize(
    ("given", "settled"),
    [
        ('--task.by-name={"x":"a"}', {"by_name": {"x": "HERE/a"}}),
        ('--task.part={"file":"a","size":2}', {"part": {"file": "HERE/a", "size": 2}}),
        ('--task.part={"size":2}', {"part": '{"size":2}'}),
    ],
)
def test_paths_within_a_table_on_the_command_line_are_found(
    folder: Path, given: str, settled: dict[str, Any]
) -> None:
    found = json.dumps(launched(given)[0].plugin["task"]).replace(str(folder), "HERE")
    assert json.loads(found) == settled


def test_what_is_no_path_or_was_not_given_stays_as_it_is() -> None:
    settled, plan, bound = launched("--task.size 2 --task.name a/b --task.data=")
    assert settled.plugin["task"] == {"size": "2", "name": "a/b", "data": "."}
    assert bound.options("task").data == Path()  # an empty text is how a path is left unset
    assert plan.options["task"]["cache"] == "cache"


def test_a_run_that_is_resumed_in_another_folder_has_the_same_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled, plan, bound = launched("--task.data data/a.jsonl --task.files b c")
    saved = json.loads(json.dumps(to_dict(settled)))
    elsewhere(tmp_path, monkeypatch)
    again = from_dict(saved)
    replanned, rebound = bind(again, load(["task"]))
    assert (replanned, replanned.fingerprint) == (plan, plan.fingerprint)
    assert rebound.options("task") == bound.options("task")
    assert with_absolute_paths(again, rebound).plugin == settled.plugin


def test_another_process_makes_the_same_options_in_whatever_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled, plan, bound = launched("--task.data a", {"SLIME_TASK_VAULT": "b"})
    elsewhere(tmp_path, monkeypatch)
    there = bind_plan(Plan.from_json(plan.to_json()), settled.plugin)
    assert there.options("task") == bound.options("task")
    assert there.options("task").cache == Path("cache")


def test_what_a_plugin_itself_makes_of_a_text_is_left_alone(site: Any) -> None:
    source = TASK.replace(
        "@hookimpl\ndef slime_options",
        "    def __post_init__(self): object.__setattr__(self, 'name', {'x': self.name})\n\n"
        "@hookimpl\ndef slime_options",
    )
    site.write("slime_plugin_task.py", "from slime_hookspecs import *\n" + source)
    settled, _, bound = launched("--task.name a/b")
    assert bound.options("task").name == {"x": "a/b"}
    assert settled.plugin["task"] == {"name": "a/b"}


def test_a_table_of_a_plugin_that_is_not_in_the_run_is_left_alone() -> None:
    _, bound = bind(Config(), [])
    idle = Config(plugin={"task": {"data": "a"}})
    assert with_absolute_paths(idle, bound) == idle


def test_the_command_shows_and_keeps_absolute_paths(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--plugin", "task", "--model", "/nowhere", "--task.data", "a", "--dry-run"])
    assert f'data = "{folder / "a"}"  # command line' in capsys.readouterr().out
