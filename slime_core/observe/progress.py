"""What a person sees while a run goes: a live line on a terminal, else one plain line a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, final

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from slime_core.observe.names import LOSS, REWARD, finite, is_scored, phase_times, tokens_per_s


@final
class Progress:
    """Shows how far the run is, on standard error.

    Args:
        total: Steps of the whole run.
        enabled: Whether to draw on a terminal; elsewhere plain lines are printed either way.
        done: Steps that an earlier run has done, when resuming.
        console: Where to print.
        clock: Seconds, for the time left.
    """

    def __init__(
        self,
        total: int,
        enabled: bool = True,
        *,
        done: int = 0,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._begin = self._done = done
        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._started_s: float | None = None
        self._step_started_s = clock()
        self._phase = "start"
        self._metrics: dict[str, Any] = {}
        self._spinner = Spinner("dots")
        self._live: Live | None = None
        if enabled and self._console.is_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._render,
                refresh_per_second=4,
                transient=True,
            )

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def phase(self, name: str) -> None:
        """Say what the run does now: start, rollout, train, sync, eval, checkpoint."""
        if self._started_s is None and name != "start":
            self._started_s = self._clock()
        self._phase = name

    def step(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Say that a step, counted from 0, is done."""
        now = self._clock()
        if self._started_s is None:
            self._started_s = self._step_started_s
        self._step_started_s = now
        self._done, self._metrics = step + 1, dict(metrics)
        if self._live is None:
            self._print(self.line())

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._print(text)

    def line(self) -> str:
        """The state after the newest step, in one line."""
        facts = [f"step {self._done}/{self._total}", *self._facts()]
        facts += [
            f"{phase} {seconds:.1f}s" for phase, seconds in phase_times(self._metrics).items()
        ]
        return "  ".join(facts)

    def time_left_s(self) -> float | None:
        """Seconds until the last step at the pace so far, or ``None`` before the first step."""
        steps = self._done - self._begin
        if not steps or self._started_s is None:
            return None
        pace_s = (self._step_started_s - self._started_s) / steps
        return max(0.0, pace_s * (self._total - self._done))

    def _facts(self) -> list[str]:
        facts = []
        reward, loss = finite(self._metrics, REWARD), finite(self._metrics, LOSS)
        pace = tokens_per_s(self._metrics)
        if reward is not None and is_scored(self._metrics):
            facts.append(f"reward {reward:.3f}")
        elif loss is not None:
            facts.append(f"loss {loss:.4f}")
        if pace is not None:
            facts.append(f"{pace:,.0f} tokens/s")
        left = self.time_left_s()
        if left is not None and self._done < self._total:
            facts.append(f"{duration(left)} left")
        return facts

    def _print(self, text: str) -> None:
        self._console.print(escape(text), soft_wrap=True)

    def _render(self) -> Table:
        row = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(self._total, 1), completed=self._done, width=24)
        facts = Text("  ".join(self._facts()), style="dim")
        count = Text(f"{self._done}/{self._total}")
        row.add_row(self._spinner, Text(f"{self._phase:<10}", style="bold"), bar, count, facts)
        return row


def duration(seconds: float) -> str:
    """A span of time for a person: ``8s``, ``3m 05s``, ``2h 10m``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
