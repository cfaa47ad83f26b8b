"""What the demo found: two runs' summaries, boiled down to the numbers that it is about."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Final, final

from slime_core.demo.commands import Settings, serve_command
from slime_core.observe.metrics import read_metrics, series
from slime_core.observe.progress import duration
from slime_core.observe.rundir import RunDir

SHOWN: Final = """\
What this shows: the cold start learned addition from a teacher who is right three times in ten, and
RL picked the right answers out of what the model could already say. The machinery works, from
SGLang through the reward to Megatron and back; it is no evidence of reasoning. A difference of 1 to
3 points between seeds is noise."""

CONTROL: Final = """\
What this shows: the reward was random, so accuracy must not rise. If it did, something other than
the reward would be teaching the model."""


@final
@dataclass(frozen=True, slots=True)
class Change:
    """A number before and after; NaN where it was not measured."""

    before: float
    after: float


@final
@dataclass(frozen=True, slots=True)
class Result:
    """The demo's outcome.

    Attributes:
        sampled: Held-out accuracy at temperature 1, a mean over several answers: the headline.
        greedy: Held-out accuracy of the most likely answer. Wavers before RL.
        reward: Training accuracy of step 1, and mean of the last ten steps.
        times_s: Seconds by stage and phase.
        wall_s: Seconds of the whole demo.
        model: HF folder of the trained model.
        report: The RL run's page.
        serve: Command that serves the model.
        random_reward: Whether this was the control.
    """

    sampled: Change
    greedy: Change
    reward: Change
    times_s: Mapping[str, Mapping[str, float]]
    wall_s: float
    model: str
    report: str
    serve: str
    random_reward: bool

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values; what was not measured is null."""
        return {name: _null(value) for name, value in asdict(self).items()}


def collect(settings: Settings, model_s: float, wall_s: float, gpu: bool) -> Result:
    """Read the outcome from the directories of the two runs.

    Args:
        settings: What the demo was asked for.
        model_s: Seconds that making model and data took.
        wall_s: Seconds of the whole demo.
        gpu: Whether the model would be served on a GPU.
    """
    run = RunDir.open(settings.rl_run)
    summary = run.read_summary()
    cold = RunDir.open(settings.sft_run).read_summary()
    hf = summary["hf"]
    return Result(
        sampled=_held_out(summary, "sampled"),
        greedy=_held_out(summary, "greedy"),
        reward=_reward(run),
        times_s={"model": {"make": model_s}, "sft": cold["times_s"], "rl": summary["times_s"]},
        wall_s=wall_s,
        model=hf,
        report=str(run.report_file),
        serve=shlex.join(serve_command(hf, gpu)),
        random_reward=settings.random_reward,
    )


def lines(result: Result) -> Iterator[str]:
    """The outcome for a person."""
    yield "Held-out accuracy       before    after"
    yield f"  sampled               {_row(result.sampled)}   200 additions, 4 answers each"
    yield f"  greedy                {_row(result.greedy)}   wavers before RL; see the sampled one"
    yield f"Training accuracy       {_row(result.reward)}   step 1, mean of the last ten"
    yield ""
    yield f"Time                    {duration(result.wall_s)}"
    for stage, times in result.times_s.items():
        parts = "  ".join(f"{name} {s:.1f}s" for name, s in times.items() if s >= 0.05)
        yield f"  {stage:<22}{parts}"
    yield ""
    yield f"Report                  {result.report}"
    yield f"Model                   {result.model}"
    yield f"Serve it                {result.serve}"
    yield ""
    yield CONTROL if result.random_reward else SHOWN


def _held_out(summary: Mapping[str, Any], kind: str) -> Change:
    before, after = (_accuracy(summary[when], kind) for when in ("eval_before", "eval_after"))
    return Change(before, after)


def _accuracy(metrics: Mapping[str, float], kind: str) -> float:
    found = [v for n, v in metrics.items() if f"_{kind}/" in n and n.endswith("/accuracy")]
    return found[0] if found else math.nan


def _reward(run: RunDir) -> Change:
    """Of the task's own reward, also where the control gives it no weight."""
    rows = [row for row in read_metrics(run.metrics_file) if row["step"] >= 0]
    for name in ("reward/math_dapo", "reward/mean"):
        values = [value for _, value in series(rows, name)]
        if values:
            return Change(values[0], fmean(values[-10:]))
    return Change(math.nan, math.nan)


def _row(change: Change) -> str:
    return "  ".join(_percent(value) for value in (change.before, change.after))


def _percent(value: float) -> str:
    return f"{'–' if math.isnan(value) else f'{value:.1%}':>7}"


def _null(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _null(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_null(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
