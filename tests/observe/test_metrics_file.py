"""The metrics file: whole lines, each step once, also after a crash."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs.errors import DataError

from slime_core.observe.metrics import MetricsWriter, names, read_metrics, series


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A metrics file that is not there yet."""
    return tmp_path / "metrics.jsonl"


def steps(file: Path) -> list[int]:
    """Steps of the rows."""
    return [row["step"] for row in read_metrics(file)]


def test_a_row_can_be_read_while_the_writer_is_open(file: Path) -> None:
    with MetricsWriter(file) as writer:
        writer.append(0, {"reward/mean": 0.5})
        (row,) = read_metrics(file)
    assert row["step"] == 0
    assert row["reward/mean"] == 0.5
    assert row["time"] > 1_600_000_000


def test_a_second_writer_continues(file: Path) -> None:
    for step in (0, 1):
        with MetricsWriter(file) as writer:
            writer.append(step, {})
    assert steps(file) == [0, 1]


def test_no_file_has_no_rows(file: Path) -> None:
    assert read_metrics(file) == []


def test_a_torn_last_line_is_left_out_by_the_reader(file: Path) -> None:
    file.write_text('{"step": 0}\n{"step": 1, "rew')
    assert steps(file) == [0]


def test_a_torn_multibyte_character_is_left_out_by_the_reader(file: Path) -> None:
    file.write_bytes('{"step": 0}\n{"step": 1, "é'.encode()[:-1])
    assert steps(file) == [0]


def test_a_torn_last_line_is_removed_by_the_next_writer(file: Path) -> None:
    file.write_text('{"step": 0}\n{"step": 1, "rew')
    with MetricsWriter(file) as writer:
        writer.append(1, {"a": 1.0})
    assert steps(file) == [0, 1]


def test_damage_before_the_last_line_is_reported_with_its_line(file: Path) -> None:
    file.write_text('{"step": 0}\noops\n{"step": 2}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2: .*'oops'"):
        read_metrics(file)


def test_a_row_without_a_step_is_damage(file: Path) -> None:
    file.write_text('{"stop": 0}\n{"step": 2}\n')
    with pytest.raises(DataError, match="line 1"):
        read_metrics(file)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null_in_the_file_and_nan_to_readers(
    file: Path, value: float
) -> None:
    with MetricsWriter(file) as writer:
        writer.append(0, {"train/grad_norm": value})
        writer.append(1, {})
        writer.truncate_after(0)
    assert json.loads(file.read_text())["train/grad_norm"] is None
    assert math.isnan(read_metrics(file)[0]["train/grad_norm"])


def test_rows_after_the_checkpoint_are_dropped_and_steps_appear_once(file: Path) -> None:
    with MetricsWriter(file) as writer:
        for step in range(-1, 25):
            writer.append(step, {"x": float(step)})
    with MetricsWriter(file) as writer:
        assert writer.truncate_after(19) == 5
        for step in range(20, 25):
            writer.append(step, {"x": -1.0})
    assert steps(file) == list(range(-1, 25))
    assert [row["x"] for row in read_metrics(file)][-6:] == [19.0, *[-1.0] * 5]


def test_truncating_an_empty_file_is_fine(file: Path) -> None:
    with MetricsWriter(file) as writer:
        assert writer.truncate_after(-2) == 0


@given(
    done=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=12),
    keep=st.integers(-1, 12),
)
def test_what_is_kept_is_kept_exactly(
    done: list[float], keep: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("m") / "metrics.jsonl"
    with MetricsWriter(file) as writer:
        for step, value in enumerate(done):
            writer.append(step, {"x": value})
        before = read_metrics(file)
        writer.truncate_after(keep)
    assert read_metrics(file) == [row for row in before if row["step"] <= keep]


def test_a_series_leaves_out_gaps_and_nan(file: Path) -> None:
    with MetricsWriter(file) as writer:
        writer.append(0, {"a": 1.0})
        writer.append(1, {"a": math.nan, "b": 2.0})
        writer.append(2, {"a": 3.0})
    rows = read_metrics(file)
    assert series(rows, "a") == [(0, 1.0), (2, 3.0)]
    assert names(rows) == ["a", "b"]
