"""Charts are well-formed SVG that puts values where they belong."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slime_core.observe.svg import (
    HEIGHT,
    MOST_BARS,
    WIDTH,
    Series,
    line_chart,
    moving_mean,
    number,
    stacked_chart,
)

NS = {"s": "http://www.w3.org/2000/svg"}


def parse(svg: str) -> ElementTree.Element:
    """The tree, or an error where it is not well formed."""
    return ElementTree.fromstring(svg)


def polyline(root: ElementTree.Element, index: int = 0) -> list[tuple[float, float]]:
    """Pixels of a line."""
    text = root.findall("s:polyline", NS)[index].attrib["points"]
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


def tooltips(root: ElementTree.Element) -> list[str]:
    """What hovering tells."""
    return [title.text or "" for title in root.iter(f"{{{NS['s']}}}title")]


def ticks(root: ElementTree.Element) -> list[str]:
    """Labels of the value axis."""
    return [t.text or "" for t in root.findall("s:text", NS) if "end" in t.attrib["class"]]


def test_higher_values_are_drawn_higher_and_later_steps_further_right() -> None:
    points = polyline(parse(line_chart([Series("a", [(0, 0.0), (5, 1.0)])], label="x")))
    assert points[0][0] < points[1][0]
    assert points[0][1] > points[1][1]


def test_equal_values_of_two_lines_are_at_equal_heights() -> None:
    root = parse(
        line_chart(
            [Series("a", [(0, 1.0), (1, 3.0)]), Series("b", [(0, 3.0), (1, 1.0)])], label="x"
        )
    )
    assert polyline(root, 0)[0][1] == polyline(root, 1)[1][1]


def test_the_axis_has_round_numbers_and_reaches_the_wanted_low() -> None:
    root = parse(line_chart([Series("a", [(0, 0.31), (1, 0.94)])], label="x", low=0.0))
    assert ticks(root) == ["0", "0.2", "0.4", "0.6", "0.8", "1"]


def test_an_axis_over_zero_has_a_zero() -> None:
    assert "0" in ticks(parse(line_chart([Series("a", [(0, -0.057), (1, 0.052)])], label="x")))


def test_hovering_tells_step_and_values_of_all_lines() -> None:
    lines = [Series("mean", [(1, 0.5), (2, 0.75)]), Series("best", [(2, 1.0)])]
    assert tooltips(parse(line_chart(lines, label="x"))) == [
        "step 1: mean 0.5",
        "step 2: mean 0.75, best 1",
    ]


def test_a_single_point_and_a_constant_line_can_be_drawn() -> None:
    assert parse(line_chart([Series("a", [(0, 5.0)])], label="x")).findall("s:circle", NS)
    for value in (0.0, -3.0, 1e-9, 1e12):
        parse(line_chart([Series("a", [(0, value), (1, value)])], label="x"))


def test_one_long_line_is_faint_under_its_moving_mean() -> None:
    points = [(i, float(i % 2)) for i in range(60)]
    root = parse(line_chart([Series("a", points)], label="x"))
    raw, smooth = polyline(root, 0), polyline(root, 1)
    assert max(y for _, y in raw) - min(y for _, y in raw) > 5 * (
        max(y for _, y in smooth[5:-5]) - min(y for _, y in smooth[5:-5])
    )


def test_layers_are_stacked_in_order_and_touch() -> None:
    layers = [Series("rollout", [(1, 2.0)]), Series("train", [(1, 1.0)])]
    root = parse(stacked_chart(layers, label="x"))
    lower, upper = root.findall("s:g/s:rect", NS)
    assert float(lower.attrib["y"]) == pytest.approx(
        float(upper.attrib["y"]) + float(upper.attrib["height"]), abs=0.11
    )
    assert float(lower.attrib["height"]) == pytest.approx(
        2 * float(upper.attrib["height"]), abs=0.2
    )
    assert tooltips(root) == ["step 1: rollout 2, train 1"]


def test_long_runs_are_averaged_into_few_bars() -> None:
    root = parse(stacked_chart([Series("a", [(i, 3.0) for i in range(1000)])], label="x"))
    bars = root.findall("s:g", NS)
    assert len(bars) <= MOST_BARS
    assert tooltips(root)[0] == "steps 0 to 11, mean: a 3"


def test_names_are_escaped() -> None:
    root = parse(line_chart([Series('<b> & "', [(0, 1.0)])], label='<"&'))
    assert tooltips(root) == ['step 0: <b> & " 1']
    assert root.attrib["aria-label"] == '<"&'


VALUES = st.lists(
    st.floats(-1e15, 1e15).filter(lambda v: v == 0 or abs(v) > 1e-12), min_size=1, max_size=40
)


@given(values=VALUES)
def test_all_lines_stay_inside_the_picture(values: list[float]) -> None:
    root = parse(line_chart([Series("a", list(enumerate(values)))], label="x"))
    for line in range(len(root.findall("s:polyline", NS))):
        for x, y in polyline(root, line):
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT
    assert 2 <= len(ticks(root)) <= 9


@given(values=VALUES)
def test_all_bars_stay_inside_the_picture(values: list[float]) -> None:
    layer = Series("a", [(i, abs(v)) for i, v in enumerate(values)])
    for rect in parse(stacked_chart([layer], label="x")).findall("s:g/s:rect", NS):
        assert 0 <= float(rect.attrib["y"]) <= HEIGHT
        assert float(rect.attrib["width"]) > 0


def test_a_moving_mean_of_a_straight_line_is_the_line() -> None:
    points = [(i, 2.0 * i) for i in range(64)]
    assert moving_mean(points)[10:50] == points[10:50]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (0.5, "0.5"), (0.1234, "0.123"), (12.34, "12.3"), (1234.5, "1,234"),
        (1e-6, "1e-6"), (1.5e-6, "1.5e-6"), (2.5e7, "2.5e7"), (-0.04, "-0.04"), (100, "100"),
    ],
)  # fmt: skip
def test_numbers_show_the_digits_that_matter(value: float, shown: str) -> None:
    assert number(value) == shown
    assert math.isfinite(float(shown.replace(",", "")))
