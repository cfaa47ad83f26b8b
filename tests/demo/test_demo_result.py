"""The demo tells what was measured, and says plainly what that shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from slime_hookspecs.errors import ConfigError, PluginError, RunError

from slime_core.demo import main as demo_main
from slime_core.demo.commands import Settings
from slime_core.demo.main import main
from slime_core.demo.result import CONTROL, SHOWN, Change, collect, lines

LeaveRuns = Callable[[Settings], None]


@pytest.fixture
def settings(tmp_path: Path, leave_runs: LeaveRuns) -> Settings:
    """Of a demo that is over."""
    settings = Settings(out=tmp_path)
    leave_runs(settings)
    return settings


def test_accuracy_and_reward_are_read_off_the_run(settings: Settings) -> None:
    result = collect(settings, model_s=2.0, wall_s=222.0, gpu=False)
    assert result.sampled == Change(0.30, 0.92)
    assert result.greedy == Change(0.10, 0.98)
    # the task's own reward, first step and mean of the last ten
    assert result.reward == Change(0.0, pytest.approx(14.5 / 20))


def test_the_times_of_all_stages_are_told_apart(settings: Settings) -> None:
    times = collect(settings, 2.0, 222.0, gpu=False).times_s
    assert times["model"] == {"make": 2.0}
    assert times["sft"] == {"start": 10.0, "train": 30.0, "other": 60.0}
    assert times["rl"] == {
        "start": 10.0, "rollout": 40.0, "train": 20.0, "sync": 5.0, "other": 25.0
    }  # fmt: skip


def test_a_person_reads_the_headline_the_paths_and_what_it_shows(settings: Settings) -> None:
    text = "\n".join(lines(collect(settings, 2.0, 222.0, gpu=False)))
    assert "sampled                 30.0%    92.0%" in text
    assert "greedy                  10.0%    98.0%" in text
    assert "Time                    3m 42s" in text
    assert "start 10.0s  rollout 40.0s  train 20.0s  sync 5.0s" in text
    assert str(settings.rl_run / "report.html") in text
    model = settings.rl_run / "hf"
    assert f"python -m slime_core.engine.cpu.launch_server --model-path {model}" in text
    assert text.endswith(SHOWN)
    assert "no evidence of reasoning" in SHOWN


def test_what_was_not_measured_is_a_dash_and_a_null(tmp_path: Path, settings: Settings) -> None:
    summary = json.loads((settings.rl_run / "summary.json").read_text())
    summary |= {"eval_before": {}, "eval_after": {}}
    (settings.rl_run / "summary.json").write_text(json.dumps(summary))
    result = collect(settings, 2.0, 222.0, gpu=True)
    assert "sampled                     –        –" in "\n".join(lines(result))
    written = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert written["sampled"] == {"before": None, "after": None}
    assert written["reward"]["before"] == 0.0


def test_the_control_says_that_nothing_may_be_learned(
    tmp_path: Path, leave_runs: LeaveRuns
) -> None:
    settings = Settings(out=tmp_path, random_reward=True)
    leave_runs(settings)
    assert "\n".join(lines(collect(settings, 2.0, 222.0, gpu=False))).endswith(CONTROL)


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, leave_runs: LeaveRuns) -> list[tuple[str, list[str]]]:
    """Names and options of the stages that main starts; each leaves its run."""
    started: list[tuple[str, list[str]]] = []

    def run(name: str, command: list[str], *, quiet: bool) -> None:
        started.append((name, command))
        if len(started) == 1:
            folder = Path(command[command.index("--run-dir") + 1]).parent
            leave_runs(Settings(out=folder))

    monkeypatch.setattr(demo_main, "run_stage", run)
    return started


def test_main_makes_model_and_data_then_runs_both_stages(
    tmp_path: Path, stages: list[tuple[str, list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert main(["--out", str(out), "--steps", "12", "--seed", "4", "--json"]) == 0
    assert (out / "model" / "model.safetensors").is_file()
    assert len((out / "sloppy.jsonl").read_text().splitlines()) == 57_600
    assert [name for name, _ in stages] == ["cold start", "RL"]
    rl = stages[1][1]
    assert rl[rl.index("--model") + 1] == str(out / "sft" / "hf")
    assert rl[rl.index("--steps") + 1] == "12"
    assert rl[rl.index("--seed") + 1] == "4"
    printed = capsys.readouterr()
    assert json.loads(printed.out)["sampled"] == {"before": 0.3, "after": 0.92}
    assert printed.err.splitlines()[0].startswith("1/3  model and data")


def test_a_stage_that_fails_ends_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, command: list[str], *, quiet: bool) -> None:
        raise RunError(name)

    monkeypatch.setattr(demo_main, "run_stage", fail)
    with pytest.raises(RunError, match="cold start"):
        main(["--out", str(tmp_path / "demo")])


def test_a_folder_with_something_in_it_is_refused(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="is not empty; give a new folder"):
        main(["--out", str(settings.out)])


def test_a_missing_task_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_main, "_TASKS", {"slime_plugin_nowhere": "slime-plugin-nowhere"})
    with pytest.raises(PluginError, match="pip install slime-plugin-nowhere"):
        main(["--out", str(tmp_path / "demo")])


@pytest.mark.parametrize("argv", [["--stepz", "3"], ["--steps", "many"], ["--steps", "0"]])
def test_a_wrong_option_is_a_user_error(argv: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"demo"):
        main(argv)
