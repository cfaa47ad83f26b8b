"""The learning rate warms up, then holds or decays."""

from __future__ import annotations

import pytest

from slime_core.trainer.lr import LearningRate


def test_the_first_update_already_trains_and_the_warm_up_ends_at_the_full_rate() -> None:
    rate = LearningRate("constant", 4, 10, 0.0)
    assert [rate.factor(i) for i in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_decay_begins_at_the_full_rate_and_ends_at_the_least(kind: str) -> None:
    rate = LearningRate(kind, 2, 12, 0.1)  # type: ignore[arg-type]
    factors = [rate.factor(i) for i in range(2, 12)]
    assert factors[0] == pytest.approx(1.0)
    assert factors[-1] == pytest.approx(0.1)
    assert factors == sorted(factors, reverse=True)
    assert rate.factor(100) == pytest.approx(0.1)


def test_half_way_both_decays_are_at_the_middle() -> None:
    assert LearningRate("linear", 0, 11, 0.0).factor(5) == pytest.approx(0.5)
    assert LearningRate("cosine", 0, 11, 0.0).factor(5) == pytest.approx(0.5)


def test_without_a_warm_up_and_with_one_update_the_rate_is_full() -> None:
    assert LearningRate("cosine", 0, 1, 0.0).factor(0) == 1.0
