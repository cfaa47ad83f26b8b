"""``slime --dry-run`` shows the run and where each setting came from, and starts nothing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from slime_core import config
from slime_core.cli import dry_run
from slime_core.cli.main import main
from slime_core.plugins import bind, load

InstallPlugin = Callable[[str, str], None]

COMMAND = (
    "--dry-run --plugin math_dapo --math-dapo.task addition --steps 3 --train-dp 2 "
    "--advantage grpo --megatron-lr 1e-4 --reward-weight math_dapo=2"
)


def shown(capsys: pytest.CaptureFixture[str], line: str) -> tuple[int, str]:
    status = main(line.split())
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return status, captured.out


def line_with(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.lstrip("# ").startswith(start))


def test_it_names_the_source_of_every_value_that_is_not_a_core_default(
    capsys: pytest.CaptureFixture[str], tiny_model_dir: Path
) -> None:
    _, out = shown(capsys, f"{COMMAND} --model {tiny_model_dir}")
    assert line_with(out, "steps = 3").endswith("# command line")
    assert line_with(out, "samples_per_prompt = 8").endswith("# default of math_dapo")
    assert line_with(out, 'task = "addition"').endswith("# command line")
    assert line_with(out, "use = ").endswith("# advantage: command line")
    assert line_with(out, "seed = 0") == "seed = 0"


def test_it_shows_plan_and_placement(
    capsys: pytest.CaptureFixture[str], tiny_model_dir: Path
) -> None:
    _, out = shown(capsys, f"{COMMAND} --model {tiny_model_dir}")
    assert "1. math_dapo (slime-plugin-math-dapo " in out
    assert "data_source = math_dapo" in out
    assert "trainer   2 ranks = tp 1 x pp 1 x dp 2" in out
    assert "servers   1 server of tp 1, and a router" in out


def unset(out: str) -> list[str]:
    """The block of options that nobody set, its lines as they would stand in a file."""
    block = out.partition("# options of plugins that nobody set\n")[2].partition("\n\n")[0]
    return [line.removeprefix("#   ") for line in block.splitlines()]


def test_options_that_nobody_set_are_shown_with_their_defaults(
    capsys: pytest.CaptureFixture[str], tiny_model_dir: Path
) -> None:
    _, out = shown(capsys, f"{COMMAND} --model {tiny_model_dir}")
    lines = unset(out)
    own = lines[lines.index("[plugin.math_dapo]") + 1 : lines.index("[plugin.grpo]")]
    assert own[0] == 'data = ""'
    assert {'template = "{prompt}"', "eval_data = []", "seed is not set"} <= set(own)
    assert not [line for line in own if line.startswith("task ")]  # It is set, and stands above.
    assert "normalize_std = true" in lines
    assert not [line for line in lines if line.startswith("clip_high ")]  # math_dapo set it.


def test_what_it_prints_is_a_file_that_asks_for_the_same_run(
    capsys: pytest.CaptureFixture[str], tiny_model_dir: Path, tmp_path: Path
) -> None:
    _, out = shown(capsys, f"{COMMAND} --model {tiny_model_dir}")
    file = tmp_path / "run.toml"
    file.write_text(out)
    raw = config.parse(f"{COMMAND} --model {tiny_model_dir}".split())
    from slime_core.plugins import collect_defaults, load

    asked = config.resolve(raw, collect_defaults(load(config.named(raw))))
    assert config.resolve(config.parse(["--config", str(file)]), {}) == asked


def test_it_makes_no_run_directory(
    capsys: pytest.CaptureFixture[str], tiny_model_dir: Path, tmp_path: Path
) -> None:
    shown(capsys, f"{COMMAND} --model {tiny_model_dir} --run-dir {tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()


def test_it_starts_no_ray_and_no_server(tiny_model_dir: Path) -> None:
    program = (
        "import sys, multiprocessing, subprocess\n"
        "from slime_core.cli.main import main\n"
        "sys.addaudithook(lambda event, args: event == 'subprocess.Popen' and "
        "print('STARTED', args[1], file=sys.stderr))\n"
        f"status = main({[*COMMAND.split(), '--model', str(tiny_model_dir)]!r})\n"
        "print('RAY', 'ray' in sys.modules and sys.modules['ray'].is_initialized())\n"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "RAY False"
    for word in ("launch_server", "raylet", "router"):
        assert not [x for x in done.stderr.splitlines() if x.startswith("STARTED") and word in x]


def test_a_resumed_run_is_shown_with_what_its_directory_says(
    capsys: pytest.CaptureFixture[str], tiny_model_dir: Path, tmp_path: Path
) -> None:
    from slime_core.observe.rundir import RunDir

    asked = config.resolve(
        config.parse(f"--model {tiny_model_dir} --plugin math_dapo --steps 9".split()),
        {"plugin": {"math_dapo": {"task": "addition"}}},
    )
    run = tmp_path / "run"
    plan, _ = bind(asked, load(["math_dapo"]))
    RunDir.create(run, asked, plan.to_json())
    _, out = shown(capsys, f"--resume {run} --dry-run --seed 5")
    assert line_with(out, "steps = 9").endswith(f"# {run}/config.json")
    assert line_with(out, "seed = 5").endswith("# command line")
    assert tomllib.loads(out)["run_dir"] == str(run)


@pytest.mark.parametrize("table", ["router", "megatron"])
def test_an_option_that_an_engine_does_not_know_is_refused_with_its_place(
    table: str, capsys: pytest.CaptureFixture[str], tiny_model_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(f"[{table}]\nnonsense_too = 1\nnonsense = 2\n")
    assert main([*COMMAND.split(), "--model", str(tiny_model_dir), "--config", str(file)]) == 2
    err = capsys.readouterr().err
    assert f"--{table}-nonsense-too" in err
    assert [line for line in err.splitlines() if "set by" in line] == [
        f"  set by [{table}] nonsense_too ({file})"
    ]


def test_a_model_folder_that_does_not_exist_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*COMMAND.split(), "--model", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("slime: error:")


@pytest.mark.parametrize(
    ("arguments", "gpus", "expected"),
    [
        ("", 0, ["1 rank = tp 1 x pp 1 x dp 1", "1 server of tp 1, and a router", "1 CPU, on"]),
        ("--train-tp 2 --engine-tp 2", 8, ["2 ranks", "1 server of tp 2", "4 GPUs, on"]),
        ("--train-tp 2 --engine-servers 2 --colocate", 8, ["2 ranks", "2 servers", "2 GPUs, sha"]),
        ("--debug-rollout-only", 0, ["0 ranks", "1 server", "0 CPUs"]),
        ("--debug-train-only --rollout-replay r", 0, ["1 rank", "0 servers", "1 CPU"]),
    ],
)
def test_placement_counts_ranks_servers_and_devices(
    arguments: str, gpus: int, expected: list[str]
) -> None:
    resolved = config.resolve(config.parse(f"--model m {arguments}".split()), {})
    lines = list(dry_run.placement(resolved, gpus))
    assert all(part in line for part, line in zip(expected, lines, strict=True)), lines


def test_secret_options_are_never_printed(
    install_plugin: InstallPlugin,
    capsys: pytest.CaptureFixture[str],
    tiny_model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIME_SECRETIVE_KEY", "hunter2")
    install_plugin(
        "secretive",
        "from dataclasses import dataclass, field\n"
        "from slime_hookspecs import hookimpl\n"
        "@dataclass(frozen=True)\n"
        "class Options:\n"
        "    key: str = field(default='', metadata={'help': 'a key', 'secret': True})\n"
        "    size: int = field(default=1, metadata={'help': 'a size'})\n"
        "@hookimpl\n"
        "def slime_options():\n"
        "    return Options\n",
    )
    _, out = shown(
        capsys,
        f"{COMMAND} --model {tiny_model_dir} --plugin secretive --secretive.size 2",
    )
    assert "hunter2" not in out
    monkeypatch.delenv("SLIME_SECRETIVE_KEY")
    _, without = shown(capsys, f"{COMMAND} --model {tiny_model_dir} --plugin secretive")
    assert "size = 1" in unset(without)
    assert not [line for line in unset(without) if line.startswith("key")]
    assert tomllib.loads(out)["plugin"]["secretive"] == {"size": "2"}
