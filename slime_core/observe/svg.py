"""Charts as inline SVG: lines and stacked bars over steps. Colours come from the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from typing import Final, final

Points = Sequence[tuple[int, float]]

WIDTH: Final = 560
HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 10, 24
MOST_BARS: Final = 90
COLOURS: Final = 8
"""The page defines ``--c0`` to ``--c7``."""
_SMOOTH_FROM: Final = 24
_MOST_BOUNDS: Final = 10


@final
@dataclass(frozen=True, slots=True)
class Series:
    """A named run of values: step and value, steps ascending."""

    name: str
    points: Points


@final
@dataclass(frozen=True, slots=True)
class _Frame:
    """Maps steps and values to pixels; ``grid`` is the distance of grid lines."""

    first: float
    last: float
    low: float
    high: float
    grid: float

    def x(self, step: float) -> float:
        part = (step - self.first) / (self.last - self.first)
        return round(_LEFT + part * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return round(HEIGHT - _BOTTOM - part * (HEIGHT - _TOP - _BOTTOM), 1)


def line_chart(lines: Sequence[Series], *, label: str, low: float | None = None) -> str:
    """Lines over steps. One long line is drawn faint, with its moving mean over it.

    Args:
        lines: At least one series with at least one point.
        label: What a screen reader says.
        low: Lowest value that the axis must reach.
    """
    frame = _frame(lines, low)
    parts = [_axes(frame)]
    for index, line in enumerate(lines):
        smooth = len(lines) == 1 and len(line.points) >= _SMOOTH_FROM
        parts.append(_line(frame, line.points, index, "faint" if smooth else ""))
        if smooth:
            parts.append(_line(frame, moving_mean(line.points), index, ""))
    parts.append(_hover(frame, lines))
    return _svg(label, parts)


def stacked_chart(layers: Sequence[Series], *, label: str) -> str:
    """Bars over steps, each the sum of its layers; long runs are averaged into fewer bars."""
    bars = _bars(layers)
    tops = [sum(values) for _, _, values in bars]
    begin, end = bars[0][0] - 0.5, bars[-1][1] + 0.5
    highest = max(tops) or 1.0
    grid = _step(highest)
    frame = _Frame(begin, end, 0.0, math.ceil(highest / grid) * grid, grid)
    parts = [_axes(frame)]
    parts += [_bar(frame, layers, *bar) for bar in bars]
    return _svg(label, parts)


def histogram_chart(bars: Sequence[tuple[str, float]], *, label: str, unit: str) -> str:
    """Bars side by side, each with the upper bound of what it counts below its right edge.

    Args:
        bars: Bound and count of each, at least one count above 0.
        label: What a screen reader says.
        unit: Of the bounds.
    """
    highest = max(count for _, count in bars)
    grid = max(1.0, _step(highest))
    frame = _Frame(0.0, len(bars), 0.0, math.ceil(highest / grid) * grid, grid)
    parts = [_grid(frame)]
    every = math.ceil(len(bars) / _MOST_BOUNDS)
    for place, (bound, count) in enumerate(bars):
        left, right, top = frame.x(place), frame.x(place + 1), frame.y(count)
        lower = f"more than {bars[place - 1][0]}, " if place else ""
        parts.append(
            f'<rect x="{left + 0.5:.1f}" y="{top}" width="{right - left - 1:.1f}" '
            f'height="{frame.y(0.0) - top:.1f}" style="fill:var(--c0)"><title>'
            f"{lower}at most {escape(bound)} {unit}: {number(count)}</title></rect>"
        )
        if place % every == every - 1:
            text = f"{escape(bound)} {unit}"
            parts.append(f'<text class="tick mid" x="{right}" y="{HEIGHT - 7}">{text}</text>')
    return _svg(label, parts)


def moving_mean(points: Points) -> list[tuple[int, float]]:
    """Mean of a window around each point, an eighth of all points wide."""
    half = max(1, len(points) // 16)
    smooth = []
    for i, (step, _) in enumerate(points):
        window = points[max(0, i - half) : i + half + 1]
        smooth.append((step, sum(value for _, value in window) / len(window)))
    return smooth


def number(value: float) -> str:
    """A value for a person: three or four digits that matter."""
    if value == 0 or 0.001 <= abs(value) < 100_000:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 3
        text = f"{value:,.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def _frame(lines: Sequence[Series], low: float | None) -> _Frame:
    steps = [step for line in lines for step, _ in line.points]
    values = [value for line in lines for _, value in line.points]
    bottom = min(values) if low is None else min(low, *values)
    top = max(values)
    if top == bottom:
        top = bottom + (abs(bottom) or 1.0)
    grid = _step(top - bottom)
    first, last = min(steps), max(steps)
    if first == last:
        first, last = first - 1, last + 1
    low, high = math.floor(bottom / grid) * grid, math.ceil(top / grid) * grid
    return _Frame(first, last, low, high, grid)


def _step(span: float) -> float:
    """Distance of grid lines: 1, 2 or 5 times a power of ten, three to six of them in the span."""
    power = 10.0 ** math.floor(math.log10(span / 4))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= span / 5)


def _axes(frame: _Frame) -> str:
    parts = [_grid(frame)]
    first, last = math.ceil(frame.first), math.floor(frame.last)
    every = max(1, round(_step(max(last - first, 1))))
    for step in range(math.ceil(first / every) * every, last + 1, every):
        x = frame.x(step)
        parts.append(f'<text class="tick mid" x="{x}" y="{HEIGHT - 7}">{step}</text>')
    return "".join(parts)


def _grid(frame: _Frame) -> str:
    grid, parts = frame.grid, []
    count = round((frame.high - frame.low) / grid)
    for value in (frame.low + grid * i for i in range(count + 1)):
        y = frame.y(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y}H{WIDTH - _RIGHT}"/>')
        text = number(0.0 if abs(value) < grid / 1000 else value)
        parts.append(f'<text class="tick end" x="{_LEFT - 7}" y="{y + 3.5:.1f}">{text}</text>')
    return "".join(parts)


def _line(frame: _Frame, points: Points, index: int, extra: str) -> str:
    colour = f"var(--c{index % COLOURS})"
    if len(points) == 1:
        ((step, value),) = points
        x, y = frame.x(step), frame.y(value)
        return f'<circle cx="{x}" cy="{y}" r="3.5" style="fill:{colour}"/>'
    path = " ".join(f"{frame.x(step)},{frame.y(value)}" for step, value in points)
    marks = "".join(
        f'<circle cx="{frame.x(s)}" cy="{frame.y(v)}" r="3" style="fill:{colour}"/>'
        for s, v in (points if len(points) <= 8 else [])
    )
    return f'<polyline class="line {extra}" style="stroke:{colour}" points="{path}"/>{marks}'


def _hover(frame: _Frame, lines: Sequence[Series]) -> str:
    """An invisible column over each step, whose tooltip names the values."""
    at: dict[int, list[str]] = {}
    for line in lines:
        for step, value in line.points:
            at.setdefault(step, []).append(f"{line.name} {number(value)}")
    steps = sorted(at)
    width = max(4.0, (WIDTH - _LEFT - _RIGHT) / len(steps))
    height = HEIGHT - _TOP - _BOTTOM
    return "".join(
        f'<rect class="hover" x="{frame.x(step) - width / 2:.1f}" y="{_TOP}" width="{width:.1f}" '
        f'height="{height}"><title>step {step}: {escape(", ".join(at[step]))}</title></rect>'
        for step in steps
    )


def _bars(layers: Sequence[Series]) -> list[tuple[int, int, list[float]]]:
    """First step, last step and the layers' means of each bar."""
    tables = [dict(layer.points) for layer in layers]
    steps = sorted({step for table in tables for step in table})
    width = math.ceil(len(steps) / MOST_BARS)
    chunks = [steps[i : i + width] for i in range(0, len(steps), width)]
    return [
        (chunk[0], chunk[-1], [sum(t.get(s, 0.0) for s in chunk) / len(chunk) for t in tables])
        for chunk in chunks
    ]


def _bar(
    frame: _Frame, layers: Sequence[Series], first: int, last: int, values: list[float]
) -> str:
    left, right = frame.x(first - 0.5), frame.x(last + 0.5)
    gap = 1.0 if right - left > 4 else 0.2
    rects = []
    for index, top in enumerate(accumulate(values)):
        upper, lower = frame.y(top), frame.y(top - values[index])
        if lower - upper > 0:
            rects.append(
                f'<rect x="{left + gap / 2:.1f}" y="{upper}" width="{right - left - gap:.1f}" '
                f'height="{lower - upper:.1f}" style="fill:var(--c{index % COLOURS})"/>'
            )
    named = zip(layers, values, strict=True)
    told = ", ".join(f"{layer.name} {number(value)}" for layer, value in named if value)
    steps = f"step {first}" if first == last else f"steps {first} to {last}, mean"
    return f"<g><title>{steps}: {escape(told)}</title>{''.join(rects)}</g>"


def _svg(label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
