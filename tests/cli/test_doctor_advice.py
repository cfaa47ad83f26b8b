"""The doctor warns of what works and should be mended, and tells a conflict once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slime_core.cli.main import main
from slime_core.cli.plugins.advice import slow, unbounded
from slime_core.plugins.catalog import catalog
from slime_core.plugins.probe import Probe

Install = Callable[[str, str], None]
Says = pytest.CaptureFixture[str]

REWARD = "from slime_hookspecs import hookimpl\n@hookimpl\ndef slime_reward(sample): return 1.0\n"
RANGE = 'write dependencies = ["slime-hookspecs>=0.1,<0.2"]'


def require(site: Path, name: str, *requirements: str) -> None:
    """Give a plugin other requirements."""
    file = site / f"{name}_task-1.0.dist-info" / "METADATA"
    lines = "".join(f"Requires-Dist: {one}\n" for one in requirements)
    file.write_text(f"Metadata-Version: 2.1\nName: {name}-task\nVersion: 1.0\n{lines}")


def doctor(capsys: Says, *names: str) -> tuple[int, str, dict[str, Any]]:
    """Exit status, what a person reads, and each plugin's facts."""
    status = main(["plugins", "doctor", *names])
    said = capsys.readouterr().out
    assert main(["plugins", "doctor", *names, "--json"]) == status
    tree = json.loads(capsys.readouterr().out)
    assert tree["schema"] == "slime.plugins.doctor/1"
    return status, said, {one["name"]: one for one in tree["plugins"]}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where plugins are installed."""
    return tmp_path / "site"


def test_a_plugin_that_imports_an_engine_is_warned_and_passes(
    install_plugin: Install, capsys: Says, site: Path
) -> None:
    install_plugin("fat", "import torch\n" + REWARD)
    (site / "torch.py").write_text("")
    status, said, found = doctor(capsys, "fat")
    (warning,) = found["fat"]["warnings"]
    assert (status, found["fat"]["ok"], found["fat"]["problems"]) == (0, True, [])
    assert warning.endswith(
        "s and imports torch, in every process of a run\n  move slow work and such imports into "
        "the functions that need them, or under `if TYPE_CHECKING:`"
    )
    lines = said.splitlines()
    assert lines[0] == "warning    fat (fat-task 1.0)"
    assert lines[-2].strip().startswith("move slow work")
    assert lines[-1] == "plugins: 1, broken: 0, warnings: 1"


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        (Probe("ok", import_s=2.84), ["importing it takes 2.8 s, in every process of a run"]),
        (
            Probe("ok", import_s=1.5, heavy=("numpy", "pandas")),
            ["importing it takes 1.5 s and imports numpy, pandas, in every process of a run"],
        ),
        (
            Probe("ok", import_s=0.2, heavy=("torch",)),
            ["importing it takes 0.2 s and imports torch, in every process of a run"],
        ),
        (Probe("ok", import_s=0.9, heavy=("numpy",)), []),
        (Probe("timeout"), []),
    ],
)
def test_what_is_slow_is_a_matter_of_a_second_or_of_an_engine(
    probe: Probe, said: list[str]
) -> None:
    assert [one.splitlines()[0] for one in slow(probe)] == said


@pytest.mark.parametrize(
    ("requirement", "warned"),
    [
        ("slime-hookspecs", True),
        ("slime-hookspecs>=0.1", True),
        ("slime-hookspecs<0.2", True),
        ("slime-hookspecs!=0.0.9", True),
        ("slime-hookspecs>=0.1,<0.2", False),
        ("slime-hookspecs~=0.1.0", False),
        ("slime-hookspecs==0.1.*", False),
    ],
)
def test_a_range_of_the_contract_that_is_open_is_warned_of(
    install_plugin: Install, site: Path, requirement: str, warned: bool
) -> None:
    install_plugin("well", REWARD)
    require(site, "well", requirement)
    entry = next(one for one in catalog() if one.plugin.name == "well")
    assert entry.status == "ok"
    said = [one.splitlines() for one in unbounded(entry)]
    assert [one[0].partition(",")[0] for one in said] == [f"it requires {requirement}"] * warned
    assert [one[1].strip() for one in said] == [RANGE] * warned


def test_a_warning_is_a_fact_of_its_own_and_leaves_the_exit_status(
    install_plugin: Install, capsys: Says, site: Path
) -> None:
    install_plugin("well", REWARD)
    require(site, "well", "slime-hookspecs")
    status, said, found = doctor(capsys, "well")
    assert (status, found["well"]["ok"], found["well"]["problems"]) == (0, True, [])
    assert [RANGE in one for one in found["well"]["warnings"]] == [True]
    assert said.startswith("warning    well (well-task 1.0)\n")
    assert main(["plugins", "info", "well"]) == 0
    assert RANGE in capsys.readouterr().out


def test_what_is_broken_or_blocked_is_not_warned_as_well(
    install_plugin: Install, capsys: Says, site: Path
) -> None:
    install_plugin("well", REWARD)
    require(site, "well")
    status, said, found = doctor(capsys, "well")
    assert (status, found["well"]["warnings"]) == (1, [])
    assert said.endswith("plugins: 1, broken: 1, warnings: 0\n")
    require(site, "well", "slime-hookspecs")
    assert main(["plugins", "doctor", "well", "--block", "well"]) == 0
    assert "open at an end" not in capsys.readouterr().out


def test_a_conflict_is_told_once_and_is_a_fact_of_each(
    install_plugin: Install, capsys: Says, site: Path
) -> None:
    contract = "slime-hookspecs>=0.1,<0.2"
    for name, wanted in {"one": "lost<1", "two": "lost>=999", "met": "pluggy"}.items():
        install_plugin(name, REWARD)
        require(site, name, contract, wanted)
    status, said, found = doctor(capsys, "one", "two", "met")
    line = "one (one-task 1.0) needs lost<1, two (two-task 1.0) needs lost>=999 (not installed)"
    assert (status, said.count(line), said.count("needs lost")) == (1, 1, 2)
    assert [len(found[name]["conflicts"]) for name in ("one", "two", "met")] == [1, 1, 0]
    assert found["one"]["conflicts"] == found["two"]["conflicts"]
    assert found["one"]["conflicts"] == [line]
    for name in ("one", "two"):
        assert found[name]["conflicts"][0] in found[name]["problems"]


def test_a_plugin_of_another_contract_is_not_held_against_each_of_the_others(
    install_plugin: Install, capsys: Says, site: Path
) -> None:
    install_plugin("well", REWARD)
    install_plugin("newer", REWARD)
    require(site, "newer", "slime-hookspecs>=0.9,<0.10")
    status, said, found = doctor(capsys, "newer", "well", "grpo")
    assert status == 1
    assert len(found["newer"]["conflicts"]) == 1
    assert found["newer"]["conflicts"][0].startswith("newer (newer-task 1.0) needs slime-hookspecs")
    assert " others need slime-hookspecs<0.2,>=0.1 (this host serves 0.1)" in said
    assert not any(one["conflicts"] for name, one in found.items() if name != "newer")
