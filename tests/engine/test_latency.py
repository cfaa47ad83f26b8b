"""How long requests took, as percentiles and as a histogram that adds up."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

from slime_core.engine.answer import read
from slime_core.engine.latency import BOUNDS, PREFIX, Latencies, nearest_rank


def meta(**more: Any) -> dict[str, Any]:
    rows = [[-0.5, 3, None]]
    found = {"finish_reason": {"type": "stop"}, "completion_tokens": 1}
    return {"meta_info": {**found, "output_token_logprobs": rows, **more}}


def test_percentiles_are_values_that_were_measured() -> None:
    latencies = Latencies()
    for seconds in range(100, 0, -1):
        latencies.add(float(seconds), 10 * seconds)
    found = latencies.take()
    assert {name: found[f"latency/request_s_{name}"] for name in ("p50", "p90", "p99", "max")} == {
        "p50": 50.0,
        "p90": 90.0,
        "p99": 99.0,
        "max": 100.0,
    }
    assert found["latency/tokens_per_s_p1"] == found["latency/tokens_per_s_p50"] == 10.0


@pytest.mark.parametrize(
    ("values", "percent", "expected"), [([7.0], 1, 7.0), ([7.0], 99, 7.0), ([1.0, 2.0], 50, 1.0)]
)
def test_nearest_rank_of_few_values(values: list[float], percent: float, expected: float) -> None:
    assert nearest_rank(values, percent) == expected


def test_every_request_is_in_one_bucket_of_the_histogram() -> None:
    latencies = Latencies()
    seconds = [0.0, 0.001, 0.0011, 0.31, 0.5, 0.50001, 6999.0, 7000.5, 1e9]
    for one in seconds:
        latencies.add(one, 1)
    counts = {n: c for n, c in latencies.take().items() if n.startswith(PREFIX)}
    assert counts == {
        f"{PREFIX}0.001": 2,
        f"{PREFIX}0.0015": 1,
        f"{PREFIX}0.5": 2,
        f"{PREFIX}0.7": 1,
        f"{PREFIX}7000": 1,
        f"{PREFIX}inf": 2,
    }


def test_bounds_are_what_their_names_say() -> None:
    assert [float(f"{bound:g}") for bound in BOUNDS] == list(BOUNDS) == sorted(BOUNDS)
    assert all(b / a <= 1.7 for a, b in pairwise(BOUNDS))


def test_each_step_counts_its_own_and_a_step_without_requests_reports_nothing() -> None:
    latencies = Latencies()
    latencies.add(1.0, 1)
    latencies.add_first_token(0.25)
    assert latencies.take()["latency/first_token_s_p50"] == 0.25
    assert latencies.take() == {}
    latencies.add(2.0, 0)
    found = latencies.take()
    assert found["latency/request_s_max"] == 2.0
    assert not any(name.startswith("latency/tokens_per_s") for name in found)
    assert all(math.isfinite(value) for value in found.values())


def test_the_first_token_is_timed_where_the_server_tells() -> None:
    told = meta(request_received_ts=100.0, prefill_finished_time=100.25)
    assert read(told).first_token_s == 0.25
    assert read(meta()).first_token_s is None
    assert read(meta(request_received_ts=100.0, prefill_finished_time=None)).first_token_s is None
    clocks_differ = meta(request_received_ts=100.0, prefill_finished_time=99.9)
    assert read(clocks_differ).first_token_s == 0.0
