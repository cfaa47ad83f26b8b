"""However a run ends, nothing of it goes on."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slime_core.rollout import files

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]

LONG = (
    *(
        "--plugin",
        "math_dapo",
        "--math-dapo.task",
        "addition",
        "--math-dapo.dynamic-sampling",
        "off",
    ),
    *("--rollout-prompts-per-step", 4, "--rollout-samples-per-prompt", 4, "--eval-every", 0),
    *("--rollout-max-response-tokens", 8, "--megatron-lr", "1e-3"),
)


@pytest.fixture(scope="module")
def model(tiny_model: Callable[[str], Path]) -> Path:
    return tiny_model("qwen3")


def wait_for_step(run_dir: Path, step: int, process: Any, timeout_s: float = 150) -> None:
    """Wait until a step's row is written."""
    end = time.monotonic() + timeout_s
    file = run_dir / "metrics.jsonl"
    while time.monotonic() < end:
        if file.is_file() and f'"step": {step},' in file.read_text():
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.2)
    raise AssertionError(f"step {step} did not come within {timeout_s} s")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_a_signal_stops_everything(
    start: Any, model: Path, tmp_path: Path, new_shared_memory: Any, number: int, status: int
) -> None:
    run_dir = tmp_path / "run"
    run = start("--model", model, "--run-dir", run_dir, "--steps", 100_000, *LONG)
    wait_for_step(run_dir, 1, run.process)
    run.process.send_signal(number)
    assert run.wait(60) == status
    assert run.left_behind() == []
    assert new_shared_memory() == set()
    assert json.loads((run_dir / "summary.json").read_text())["status"] == "interrupted"
    assert "Traceback" not in run.errors


def test_an_error_in_a_plugin_stops_everything_and_says_whose_it_was(
    slime: Any, model: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    info = site / "slime_plugin_bad-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: slime-plugin-bad\nVersion: 1.0\n"
        "Requires-Dist: slime-hookspecs>=0.1,<0.2\n"
    )
    (info / "entry_points.txt").write_text("[slime.plugins]\nbad = slime_plugin_bad\n")
    (site / "slime_plugin_bad.py").write_text(
        "from slime_hookspecs import hookimpl\n"
        "@hookimpl\n"
        "def slime_advantage(group, ctx):\n"
        "    raise ValueError('no such advantage')\n"
    )
    run = slime(
        *("--model", model, "--run-dir", tmp_path / "run", "--plugin", "bad", *LONG),
        env={"PYTHONPATH": str(site)},
    )
    assert run.process.returncode == 1
    assert "no such advantage" in run.errors
    assert "bad" in run.errors
    assert "slime_advantage" in run.errors
    assert run.left_behind() == []


def test_a_killed_run_resumes_as_if_nothing_had_happened(
    start: Any, slime: Any, model: Path, tmp_path: Path, metrics: Any
) -> None:
    def args(run_dir: Path) -> tuple[Any, ...]:
        return (
            *("--model", model, "--run-dir", run_dir, "--steps", 6, "--checkpoint-every", 2, *LONG),
            *("--sglang-enable-deterministic-inference",),
            # Rewards that differ, so that there is something to learn wrong.
            *("--plugin", "random_reward", "--reward-weight", "math_dapo=0"),
        )

    whole = slime(*args(tmp_path / "whole"))
    assert whole.process.returncode == 0, whole.errors

    killed = start(*args(tmp_path / "killed"))
    wait_for_step(tmp_path / "killed", 4, killed.process)
    killed.process.kill()
    killed.process.wait()
    # Ray's own agents notice within a minute that their node is gone.
    assert killed.left_behind(patience_s=90) == []

    resumed = slime("--resume", tmp_path / "killed")
    assert resumed.process.returncode == 0, resumed.errors
    expected, found = metrics(tmp_path / "whole"), metrics(tmp_path / "killed")
    assert [row["step"] for row in found] == [row["step"] for row in expected]
    for want, have in zip(expected[1:], found[1:], strict=True):
        assert want["train/grad_norm"] > 0
        for name in ("reward/mean", "train/loss", "train/grad_norm", "prompts/trained"):
            assert have[name] == pytest.approx(want[name], rel=1e-4, abs=1e-6), name
    assert prompts_of(tmp_path / "killed") == prompts_of(tmp_path / "whole")


def prompts_of(run_dir: Path) -> list[list[str]]:
    """Prompt ids that each saved rollout holds, step by step."""
    found = []
    for file in files.found(run_dir / "rollouts").values():
        groups = [json.loads(line) for line in files.lines(file)]
        found.append([json.dumps(g.get("prompt"), sort_keys=True) for g in groups])
    return found
