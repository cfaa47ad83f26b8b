"""``slime --resume RUN --dry-run`` refuses changed code with the words of the real resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from slime_hookspecs import ConfigError, PluginError

from slime_core import config
from slime_core.cli.main import main
from slime_core.launch import Launch
from slime_core.observe.rundir import RunDir
from slime_core.plugins import bind, load
from slime_core.preflight import preflight

REWARD = "from slime_hookspecs import hookimpl\n@hookimpl\ndef slime_reward(sample): return 1.0\n"
EDITED = REWARD + "# edited in place\n"


@pytest.fixture
def run(install_plugin: Callable[[str, str], None], tmp_path: Path) -> Path:
    """The folder of a run with a reward of its own."""
    install_plugin("well", REWARD)
    asked = config.resolve(config.parse(["--model", "/nowhere", "--plugin", "well"]), {})
    plan, _ = bind(asked, load(["well"]))
    folder = tmp_path / "run"
    RunDir.create(folder, config.to_dict(asked), plan.to_json())
    return folder


def edit(tmp_path: Path) -> None:
    (tmp_path / "site" / "well_task.py").write_text(EDITED)


def test_changed_code_ends_the_dry_run_and_the_run_alike(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(tmp_path)
    said = []
    for line in (["--dry-run"], []):
        assert main(["--resume", str(run), *line]) == 2
        said.append(capsys.readouterr().err)
    assert said[0] == said[1]
    first, change, cure = said[0].splitlines()
    assert first == "slime: error: the plugins of this run have changed since it was started:"
    assert change.strip().startswith("reward: the code of well changed: well-task 1.0 (code ")
    assert cure.endswith("or go on with --allow-changed-plugins.")


def test_code_that_may_change_or_has_not_is_no_complaint(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in ([], ["--allow-changed-plugins"]):
        assert main(["--resume", str(run), "--dry-run", *line]) == 2  # there is no model either
        assert "have changed" not in capsys.readouterr().err
        edit(tmp_path)


def test_a_new_run_is_compared_with_nothing(run: Path, tmp_path: Path) -> None:
    asked = config.resolve(config.parse(["--model", "/nowhere", "--plugin", "well"]), {})
    edit(tmp_path)
    launch = Launch(asked, *bind(asked, load(["well"])))
    with pytest.raises(ConfigError, match="/nowhere"):
        preflight(launch)
    with pytest.raises(PluginError, match="have changed"):
        preflight(Launch(launch.config, launch.plan, launch.bound, run))
