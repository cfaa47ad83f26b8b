"""A stage of the demo is told apart when it fails, and never outlives the demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from slime_hookspecs.errors import RunError

from slime_core.demo.process import run_stage

WAITS = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def stop(number, _):
    with (folder / "stopped").open("a") as file:
        file.write(f"{number} ")
    time.sleep(0.5)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
(folder / "ready").write_text("x")
time.sleep(60)
"""

OUTER = """
import sys
from slime_core.demo.process import run_stage
run_stage("wait", [sys.executable, "-c", sys.argv[1], sys.argv[2]], quiet=True)
"""


def python(code: str) -> list[str]:
    """A command that runs this code."""
    return [sys.executable, "-c", code]


def test_a_stage_that_ends_well_says_nothing() -> None:
    run_stage("x", python("pass"), quiet=False)


def test_a_stage_that_fails_is_named_with_its_status_and_command() -> None:
    with pytest.raises(RunError, match=r"stage RL: ended with status 3.*\n.* -c 'raise System"):
        run_stage("RL", python("raise SystemExit(3)"), quiet=False)


def test_a_stage_that_is_killed_is_named_with_the_signal() -> None:
    with pytest.raises(RunError, match="was ended by signal 9"):
        run_stage("RL", python("import os; os.kill(os.getpid(), 9)"), quiet=False)


def test_quiet_keeps_standard_output_free(capfd: pytest.CaptureFixture[str]) -> None:
    run_stage("x", python("print('hello')"), quiet=True)
    assert "hello" not in capfd.readouterr().out
    run_stage("x", python("print('hello')"), quiet=False)
    assert "hello" in capfd.readouterr().out


def test_the_callers_signal_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    run_stage("x", python("pass"), quiet=False)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("number", "to_group", "reaches_stage_as"),
    [(signal.SIGTERM, False, signal.SIGTERM), (signal.SIGINT, True, signal.SIGINT)],
)
def test_ending_the_demo_ends_the_stage_in_its_own_way(
    tmp_path: Path, number: signal.Signals, to_group: bool, reaches_stage_as: signal.Signals
) -> None:
    command = [*python(OUTER), WAITS, str(tmp_path)]
    outer = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        wait_for(tmp_path / "ready")
        (os.killpg if to_group else os.kill)(outer.pid, number)
        outer.wait(20)
    finally:
        outer.kill()
        outer.wait()
    assert (tmp_path / "stopped").read_text() == f"{int(reaches_stage_as)} "


def wait_for(file: Path) -> None:
    """Until a file is there."""
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} did not come"
        time.sleep(0.02)
