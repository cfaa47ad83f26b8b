"""Servers and router that die or hang in the middle of a run: it goes on, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from books import check_books

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


def send(run: Any, of: str, number: int) -> None:
    """Send a signal to the oldest server, or the router, and all that it started."""
    for pid in descendants(keepers(run, of)[0]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_root(run: Any, of: str) -> None:
    """Kill a server's first process, as the kernel does where memory is short."""
    os.kill(descendants(keepers(run, of)[0])[0], signal.SIGKILL)


def wait_for(condition: Callable[[], Any], run: Any, timeout_s: float = 240) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert run.process.poll() is None, run.process.communicate()[1]
        assert time.monotonic() < end, "it never came"
        time.sleep(0.2)


def step_is_done(run_dir: Path, step: int) -> Callable[[], bool]:
    file = run_dir / "metrics.jsonl"
    return lambda: file.is_file() and f'"step": {step},' in file.read_text()


def test_a_server_that_is_killed_in_a_rollout_comes_back_with_the_weights_of_now(
    start: Any, model: Path, tmp_path: Path, metrics: Any, new_shared_memory: Any
) -> None:
    run_dir = tmp_path / "run"
    size = ("--steps", 5, "--checkpoint-every", 5)
    run = start("--model", model, "--run-dir", run_dir, *TASK, *size)
    wait_for(step_is_done(run_dir, 1), run)
    kill_root(run, "launch_server")
    assert run.wait() == 0, run.errors
    assert run.left_behind() == []
    assert new_shared_memory() == set()
    _, *rows = metrics(run_dir)
    check_books(run_dir, rows)
    assert rows[-1]["engine/restarts"] == 1
    assert rows[-1]["engine/down_s"] > 0
    # What it wrote before and after has the versions of the steps, and is what the trainer thinks.
    assert max(row["staleness/max"] for row in rows) == 0
    assert max(row["train/train_rollout_logprob_diff"] for row in rows) < 1e-4
    assert "was killed by signal 9; it is restarted (1 of 5 times)" in run.errors
    assert "server 0 serves again" in run.errors


def test_a_server_that_hangs_and_a_router_that_dies_hold_nobody_up(
    start: Any, model: Path, tmp_path: Path, metrics: Any
) -> None:
    run_dir = tmp_path / "run"
    size = ("--steps", 100_000, "--checkpoint-every", 0, "--engine-servers", 2)
    limits = ("--engine-health-timeout-s", 15, "--rollout-save", "--schedule", "async")
    run = start("--model", model, "--run-dir", run_dir, *TASK, *size, *limits)
    wait_for(step_is_done(run_dir, 1), run)
    send(run, "launch_router", signal.SIGKILL)
    send(run, "launch_server", signal.SIGSTOP)
    log = run_dir / "logs" / "driver.log"

    def mended() -> bool:
        """Whether all serve again; on a busy machine the other server may have been hit too."""
        whole = (run_dir / "metrics.jsonl").read_text().rpartition("\n")[0]
        last = json.loads(whole.splitlines()[-1])
        return bool(last.get("engine/down_s", 0) > 0 and last["engine/servers_up"] == 2)

    wait_for(mended, run)
    run.process.send_signal(signal.SIGINT)
    assert run.wait(90) == 130
    assert run.left_behind() == []
    text = log.read_text()
    assert "did not answer for 15 s" in text
    assert "the router" in text
    _, *rows = metrics(run_dir)
    assert rows[-1]["engine/restarts"] >= 1
    assert rows[-1]["engine/router_restarts"] >= 1
    assert max(row["staleness/max"] for row in rows) <= 1
    assert max(row["train/train_rollout_logprob_diff"] for row in rows) < 1


def test_a_spent_budget_ends_the_run_with_the_reason_and_leaves_nothing(
    start: Any, model: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    size = ("--steps", 100_000, "--checkpoint-every", 0, "--engine-max-restarts", 0)
    run = start("--model", model, "--run-dir", run_dir, *TASK, *size)
    wait_for(step_is_done(run_dir, 0), run)
    send(run, "launch_server", signal.SIGKILL)
    assert run.wait(120) == 1
    assert run.left_behind() == []
    assert "failed 1 times in this run" in run.errors
    assert "may be restarted 0 times (--engine-max-restarts)" in run.errors
    assert "End of its log" in run.errors
    assert "Traceback" not in run.errors
