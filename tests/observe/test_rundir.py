"""A run directory: made once, opened only if it is one, checkpoints whole or not seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from slime_hookspecs.errors import ConfigError

from slime_core.config.schema import Config
from slime_core.observe import rundir
from slime_core.observe.rundir import RunDir, checkpoint_step, read_json, write_json


def save(run: RunDir, step: int) -> Path:
    """A whole checkpoint."""
    (run.partial_checkpoint(step) / "state.json").write_text("{}")
    return run.commit_checkpoint(step)


def test_a_new_run_directory_holds_configuration_plan_and_folders(run: RunDir) -> None:
    assert run.read_config()["model"] == "/models/tiny-qwen"
    assert run.read_config()["rollout"]["prompts_per_step"] == 32
    assert run.read_plan()["plugins"][0]["name"] == "math_dapo"
    for folder in (run.rollouts, run.checkpoints, run.logs, run.plugins):
        assert folder.is_dir()


def test_a_plan_may_be_given_as_a_mapping(tmp_path: Path) -> None:
    assert RunDir.create(tmp_path, {"steps": 1}, {"api": "0.1"}).read_plan() == {"api": "0.1"}


def test_an_empty_folder_may_become_a_run(tmp_path: Path) -> None:
    assert RunDir.create(tmp_path, Config(), "{}").path == tmp_path


def test_the_path_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunDir.create(Path("here"), Config(), "{}").path == tmp_path / "here"


def test_a_folder_with_a_run_is_refused_and_nothing_in_it_changes(run: RunDir) -> None:
    before = run.config_file.read_bytes()
    with pytest.raises(ConfigError, match=r"run is already there.*--resume .*another --run-dir"):
        RunDir.create(run.path, Config(steps=7), "{}")
    assert run.config_file.read_bytes() == before


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="is not empty"):
        RunDir.create(tmp_path, Config(), "{}")


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        RunDir.create(tmp_path / "file", Config(), "{}")


def test_a_folder_that_cannot_be_made_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot make this folder"):
        RunDir.create(tmp_path / "file" / "run", Config(), "{}")


def test_opening_a_run_gives_the_same_names(run: RunDir) -> None:
    assert RunDir.open(run.path) == run


def test_opening_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such run directory"):
        RunDir.open(tmp_path / "gone")


def test_opening_another_folder_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"it has no config\.json and no plan\.json"):
        RunDir.open(tmp_path)


def test_opening_one_folder_too_high_or_too_low_names_the_run(run: RunDir) -> None:
    for path in (run.path.parent, run.checkpoints):
        with pytest.raises(ConfigError) as caught:
            RunDir.open(path)
        assert f"Perhaps {run.path}?" in str(caught.value)


def test_without_checkpoints_there_is_no_latest(run: RunDir) -> None:
    assert run.latest_checkpoint() is None


def test_the_latest_checkpoint_is_the_one_with_most_steps(run: RunDir) -> None:
    for step in (40, 1_000_000, 999_999, 20):
        save(run, step)
    latest = run.latest_checkpoint()
    assert latest is not None
    assert (latest.name, checkpoint_step(latest)) == ("step_1000000", 1_000_000)


def test_partial_empty_and_foreign_folders_are_not_checkpoints(run: RunDir) -> None:
    whole = save(run, 20)
    (run.partial_checkpoint(40) / "state.json").write_text("{}")
    (run.checkpoints / "step_000060").mkdir()
    (run.checkpoints / "step_000080.old").mkdir()
    (run.checkpoints / "step_000090").write_text("a file")
    assert run.complete_checkpoints() == [whole]


def test_a_partial_checkpoint_begins_empty(run: RunDir) -> None:
    (run.partial_checkpoint(20) / "leftover").write_text("x")
    assert list(run.partial_checkpoint(20).iterdir()) == []


def test_a_checkpoint_may_be_written_again(run: RunDir) -> None:
    (save(run, 20) / "old").write_text("x")
    assert [p.name for p in save(run, 20).iterdir()] == ["state.json"]
    assert [p.name for p in run.checkpoints.iterdir()] == ["step_000020"]


def test_pruning_keeps_the_newest(run: RunDir) -> None:
    paths = [save(run, step) for step in (20, 40, 60, 80)]
    assert run.prune(keep=2) == paths[:2]
    assert run.complete_checkpoints() == paths[2:]
    assert run.prune(keep=2) == []


def test_pruning_never_removes_the_last_one(run: RunDir) -> None:
    save(run, 20)
    newest = save(run, 40)
    run.prune(keep=0)
    assert run.complete_checkpoints() == [newest]


def test_pruning_removes_leftovers_but_not_what_is_being_written(run: RunDir) -> None:
    run.partial_checkpoint(20)
    save(run, 40)
    newer = run.partial_checkpoint(60)
    run.prune(keep=2)
    assert sorted(p.name for p in run.checkpoints.iterdir()) == ["step_000040", newer.name]


def test_a_checkpoint_half_deleted_does_not_look_whole(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(run, 20)
    newest = save(run, 40)

    def crash(path: Path, **_: object) -> None:
        if path.exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(rundir.shutil, "rmtree", crash)
    with pytest.raises(KeyboardInterrupt):
        run.prune(keep=1)
    assert run.complete_checkpoints() == [newest]
    monkeypatch.undo()
    run.prune(keep=1)
    assert [p.name for p in run.checkpoints.iterdir()] == [newest.name]


def test_a_name_that_is_no_checkpoint_is_a_user_error() -> None:
    with pytest.raises(ConfigError, match="step_000020"):
        checkpoint_step(Path("step_20"))


def test_the_summary_is_empty_until_written(run: RunDir) -> None:
    assert run.read_summary() == {}
    run.write_summary({"status": "success", "hf": Path("/a/b")})
    assert run.read_summary() == {"status": "success", "hf": "/a/b"}


def test_json_that_is_damaged_names_the_file(run: RunDir) -> None:
    run.plan_file.write_text('{"api"')
    with pytest.raises(ConfigError, match=r"plan\.json: cannot be read as JSON"):
        run.read_plan()
    run.plan_file.write_text("[]")
    with pytest.raises(ConfigError, match="not an object"):
        run.read_plan()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    write_json(file, {"a": 1})
    with pytest.raises(TypeError, match="no JSON form"):
        write_json(file, {"a": object()})
    assert read_json(file) == {"a": 1}
    assert json.loads(file.read_text()) == {"a": 1}
