"""Servers and router that die or hang in the middle of a run: it goes on, and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slime_core.engine.keeper import descendants

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]

TASK = (
    *("--plugin", "math_dapo", "--math-dapo.task", "addition"),
    *("--math-dapo.dynamic-sampling", "off", "--megatron-lr", "1e-3", "--eval-every", 0),
    *("--rollout-prompts-per-step", 4, "--rollout-samples-per-prompt", 4),
    *("--rollout-max-response-tokens", 192, "--rollout-concurrency", 20),
    *("--engine-health-every-s", 1, "--max-failed-fraction", 0.5),
)


@pytest.fixture(scope="module")
def model(tiny_model: Callable[[str], Path]) -> Path:
    return tiny_model("qwen3")


def keepers(run: Any, of: str) -> list[int]:
    """Pids of this run's keepers of a server or router, oldest first."""
    lines = run.left_behind(patience_s=0)
    return sorted(int(line.split()[0]) for line in lines if "engine.keeper" in line and of in line)


def send(run: Any, of: str, number: int, which: int = 0) -> None:
    """Send a signal to a server, or the router, and all that it started, but not to its keeper."""
    for pid in descendants(keepers(run, of)[which]):
        os.kill(pid, number)


def wait_for(condition: Callable[[], Any], run: Any, timeout_s: float = 240) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert run.process.poll() is None, run.process.communicate()[1]
        assert time.monotonic() < end, "it never came"
        time.sleep(0.2)


def step_is_done(run_dir: Path, step: int) -> Callable[[], bool]:
    file = run_dir / "metrics.jsonl"
    return lambda: file.is_file() and f'"step": {step},' in file.read_text()


def test_a_server_that_is_killed_comes_back_and_nothing_is_lost(
    start: Any, model: Path, tmp_path: Path, metrics: Any, new_shared_memory: Any
) -> None:
    run_dir = tmp_path / "run"
    run = start(
        *("--model", model, "--run-dir", run_dir, *TASK, "--steps", 6, "--checkpoint-every", 6),
    )
    wait_for(step_is_done(run_dir, 1), run)
    send(run, "launch_server", signal.SIGKILL)
    assert run.wait() == 0, run.errors
    print(run.output, run.errors)
    _, *rows = metrics(run_dir)
    for row in rows:
        print(
            {
                k: v
                for k, v in row.items()
                if k.startswith(("engine/", "prompts/", "sync/", "time/"))
            }
        )
    assert rows[-1]["engine/restarts"] == 1
