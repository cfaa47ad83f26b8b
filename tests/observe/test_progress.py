"""Progress: one plain line a step without a terminal, a live line on one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from slime_core.observe.progress import Progress, duration

METRICS = {
    "reward/mean": 0.5,
    "reward/math_dapo": 0.5,
    "rollout/tokens_per_s": 1234.6,
    "time/rollout_s": 2.0,
    "time/train_s": 1.0,
}


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """At 100 s."""
    return Clock()


def console(*, terminal: bool) -> Console:
    """One whose text can be read back."""
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=120, color_system=None, highlight=False
    )


def text(of: Console) -> str:
    """What was printed."""
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def test_without_a_terminal_each_step_is_one_line(clock: Clock) -> None:
    out = console(terminal=False)
    with Progress(3, console=out, clock=clock) as progress:
        for step in range(3):
            progress.phase("rollout")
            clock.now += 3
            progress.step(step, METRICS)
    lines = text(out).splitlines()
    assert lines[0] == ("step 1/3  reward 0.500  1,235 tokens/s  6s left  rollout 2.0s  train 1.0s")
    assert [line.split("  ")[0] for line in lines] == ["step 1/3", "step 2/3", "step 3/3"]
    assert "left" not in lines[2]


def test_switched_off_on_a_terminal_it_prints_lines(clock: Clock) -> None:
    out = console(terminal=True)
    with Progress(2, enabled=False, console=out, clock=clock) as progress:
        progress.step(0, METRICS)
    assert text(out).startswith("step 1/2  reward 0.500")


def test_on_a_terminal_it_draws_the_phase_and_prints_no_lines(clock: Clock) -> None:
    out = console(terminal=True)
    with Progress(2, console=out, clock=clock) as progress:
        progress.phase("train")
        progress.step(0, METRICS)
        out.print(progress._render())
    assert "train" in text(out)
    assert "1/2" in text(out)
    assert "reward 0.500" in text(out)
    assert "step 1/2" not in text(out)


def test_notes_stay_and_are_not_markup(clock: Clock) -> None:
    out = console(terminal=False)
    with Progress(2, console=out, clock=clock) as progress:
        progress.note("saved [bold] checkpoints/step_000020")
    assert text(out) == "saved [bold] checkpoints/step_000020\n"


def test_without_rewards_the_loss_is_shown(clock: Clock) -> None:
    progress = Progress(2, console=console(terminal=False), clock=clock)
    progress.step(0, {"reward/mean": 0.0, "train/loss": 0.25, "train/tokens_per_s": 900.0})
    assert "loss 0.2500" in progress.line()
    assert "reward" not in progress.line()
    assert "900 tokens/s" in progress.line()


def test_a_step_without_metrics_is_still_a_line(clock: Clock) -> None:
    progress = Progress(2, console=console(terminal=False), clock=clock)
    progress.step(0, {"reward/mean": float("nan"), "reward/a": float("nan")})
    assert progress.line().startswith("step 1/2")


def test_time_left_does_not_count_the_start_of_the_engines(clock: Clock) -> None:
    progress = Progress(10, console=console(terminal=False), clock=clock)
    progress.phase("start")
    clock.now += 60
    assert progress.time_left_s() is None
    for step in range(2):
        progress.phase("rollout")
        clock.now += 5
        progress.step(step, {})
    assert progress.time_left_s() == pytest.approx(40)


def test_time_left_of_a_resumed_run_is_of_its_own_steps(clock: Clock) -> None:
    progress = Progress(30, done=20, console=console(terminal=False), clock=clock)
    progress.phase("rollout")
    clock.now += 4
    progress.step(20, {})
    assert progress.time_left_s() == pytest.approx(9 * 4)
    assert progress.line().startswith("step 21/30")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "0s"), (59.4, "59s"), (59.6, "1m 00s"), (185, "3m 05s"), (7800, "2h 10m")],
)
def test_durations_read_well(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
