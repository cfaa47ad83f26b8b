"""The report's charts: which metrics go into which, and each as a figure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, final

from slime_core.engine.latency import BOUNDS, PREFIX
from slime_core.observe.metrics import Row, names, series
from slime_core.observe.names import REWARD, phase_times
from slime_core.observe.svg import COLOURS, Series, histogram_chart, line_chart, stacked_chart

HISTOGRAM: Final = "How long requests take"


@final
@dataclass(frozen=True, slots=True)
class Chart:
    """One figure.

    Attributes:
        title: Its heading.
        caption: What it means, in a sentence.
        wanted: Says of a metric's name whether it belongs here.
        stacked: Bars instead of lines.
        low: Lowest value that the axis must reach.
        prefix: Left out of the legend.
    """

    title: str
    caption: str
    wanted: Callable[[str], bool]
    stacked: bool = False
    low: float | None = None
    prefix: str = ""


def _matches(pattern: str) -> Callable[[str], bool]:
    regex = re.compile(pattern)
    return lambda name: bool(regex.search(name))


CHARTS: Final = (
    Chart(
        "Reward",
        "Mean over the step's samples.",
        _matches(r"^reward/(?!.*(std|min|max|count|_s$|error|timeout))"),
        low=0.0,
        prefix="reward/",
    ),
    Chart(
        "Held-out accuracy",
        "Measured on prompts that are never trained on.",
        _matches(r"^eval/.+/accuracy$"),
        low=0.0,
        prefix="eval/",
    ),
    Chart(
        "Held-out reward",
        "mean@k is the mean of k samples a prompt, pass@k the chance that one of k is right.",
        _matches(r"^eval/.+/(reward_mean|mean@\d+|pass@\d+)$"),
        low=0.0,
        prefix="eval/",
    ),
    Chart(
        "Response length",
        "Tokens a response.",
        _matches(r"^rollout/response_(length|tokens)([/_](mean|max|min|p\d+))?$"),
        low=0.0,
        prefix="rollout/",
    ),
    Chart(
        "Time a step",
        "Seconds by phase.",
        lambda name: bool(phase_times({name: 1.0})),
        stacked=True,
        prefix="time/",
    ),
    Chart(
        "Request latency",
        "Seconds from asking for a turn to having it: half, nine in ten and all but one in a "
        "hundred took no longer.",
        _matches(r"^latency/request_s_p\d+$"),
        low=0.0,
        prefix="latency/request_s_",
    ),
    Chart(
        "Rollout and trainer log-probs",
        "How far the server that sampled and the trainer disagree about the same tokens.",
        _matches(r"^train/.*(mismatch|logprob_diff|kl_rollout|rollout_kl)"),
        prefix="train/",
    ),
    Chart("Loss", "Over the whole global batch.", _matches(r"^train/(loss|.*_loss)$")),
    Chart("Gradient norm", "Before clipping.", _matches(r"^train/grad(ient)?_norm$"), low=0.0),
    Chart(
        "What became of prompts",
        "Every prompt that was drawn is trained on, kept for later, filtered or failed.",
        _matches(r"^prompts/(trained|kept|filtered|failed|skipped|dropped|lost)"),
        stacked=True,
        prefix="prompts/",
    ),
)


def figures(rows: Sequence[Row]) -> Iterator[str]:
    """Every chart that the run has metrics for, as HTML.

    The axis counts steps done, so that what was measured before the first step stands at 0.
    """
    for chart in CHARTS:
        found = _series(chart, rows)
        if found:
            yield _figure(chart, found)
    yield from _histogram(rows)


def legend(labels: Sequence[str]) -> str:
    """Coloured names, in the order of the page's colours."""
    marks = (
        f'<span><i style="background:var(--c{i % COLOURS})"></i>{escape(label)}</span>'
        for i, label in enumerate(labels)
    )
    return f'<div class="legend">{"".join(marks)}</div>'


def _series(chart: Chart, rows: Sequence[Row]) -> list[Series]:
    wanted = [name for name in names(rows) if chart.wanted(name)]
    if wanted == [REWARD]:
        return []  # no reward plugin is behind it
    found = [
        Series(_short(chart, name), _done(series(rows, name))) for name in _ordered(chart, wanted)
    ]
    if chart.stacked:
        shown = [layer for layer in found if any(value for _, value in layer.points)]
    else:
        shown = _distinct(found)
    return shown[:COLOURS]


def _distinct(lines: Sequence[Series]) -> list[Series]:
    """Lines with points, less those that would lie under an earlier one."""
    by_points = {tuple(line.points): line for line in reversed(lines) if line.points}
    return sorted(by_points.values(), key=lines.index)


def _done(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    return [(step + 1, value) for step, value in points]


def _ordered(chart: Chart, wanted: list[str]) -> list[str]:
    if chart.prefix == "time/":
        return [f"time/{phase}_s" for phase in phase_times(dict.fromkeys(wanted, 0.0))]
    return wanted


def _short(chart: Chart, name: str) -> str:
    short = name.removeprefix(chart.prefix)
    return short.removesuffix("_s") if chart.prefix == "time/" else short


def _histogram(rows: Sequence[Row]) -> Iterator[str]:
    """How long all requests of the run took; nothing where there were none."""
    counts = {
        float(name.removeprefix(PREFIX)): sum(count for _, count in series(rows, name))
        for name in names(rows)
        if name.startswith(PREFIX)
    }
    if not any(counts.values()):
        return
    bounds = [b for b in (*BOUNDS, math.inf) if min(counts) <= b <= max(counts)]
    bars = [("∞" if b == math.inf else f"{b:g}", counts.get(b, 0.0)) for b in bounds]
    drawing = histogram_chart(bars, label=HISTOGRAM, unit="s")
    yield _framed(HISTOGRAM, "Requests of the whole run by the seconds that they took.", drawing)


def _figure(chart: Chart, found: Sequence[Series]) -> str:
    if chart.stacked:
        drawing = stacked_chart(found, label=chart.title)
    else:
        drawing = line_chart(found, label=chart.title, low=chart.low)
    names_shown = len(found) > 1 or chart.stacked
    shown = legend([s.name for s in found]) if names_shown else ""
    return _framed(chart.title, chart.caption, drawing, shown)


def _framed(title: str, caption: str, drawing: str, legend: str = "") -> str:
    return (
        f'<figure class="chart"><figcaption><h3>{title}</h3><p>{caption}</p>'
        f"{legend}</figcaption>{drawing}</figure>"
    )
