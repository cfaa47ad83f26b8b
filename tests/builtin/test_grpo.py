"""Group-relative advantages."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import Group, Prompt, Sample, SampleError

from slime_core.builtin import grpo

PROMPT = Prompt("p", [{"role": "user", "content": "1+1="}])
rewards_lists = st.lists(st.floats(-100, 100), min_size=2, max_size=16)


def group(*rewards: float | None) -> Group:
    samples = [Sample(i, 0, PROMPT, reward=reward) for i, reward in enumerate(rewards)]
    return Group(0, PROMPT, samples)


def test_equals_the_formula_with_the_sample_standard_deviation(make_context: Any) -> None:
    rewards = torch.tensor([1.0, 0.0, 0.0, 0.5], dtype=torch.float64)
    expected = (rewards - rewards.mean()) / (rewards.std(unbiased=True) + 1e-6)
    found = grpo.slime_advantage(group(*rewards.tolist()), make_context(grpo.Options()))
    assert found == pytest.approx(expected.tolist(), rel=1e-9)


def test_without_std_it_is_the_distance_from_the_mean(make_context: Any) -> None:
    ctx = make_context(grpo.Options(normalize_std=False))
    assert grpo.slime_advantage(group(1.0, 0.0), ctx) == [0.5, -0.5]


@pytest.mark.parametrize("rewards", [(0.1, 0.1, 0.1), (1.0,), (0.0, 0.0)])
def test_equal_rewards_and_lone_samples_teach_exactly_nothing(
    rewards: tuple[float, ...], make_context: Any
) -> None:
    found = grpo.slime_advantage(group(*rewards), make_context(grpo.Options()))
    assert found == [0.0] * len(rewards)


def test_failed_and_unscored_samples_have_no_part_in_it(make_context: Any) -> None:
    mixed = group(1.0, None, 0.0, 7.0)
    mixed.samples[3].error = SampleError("core", "slime_reward", "ValueError", "no")
    found = grpo.slime_advantage(mixed, make_context(grpo.Options(normalize_std=False)))
    assert found == [0.5, -0.5]


def test_a_group_in_which_all_failed_is_no_error(make_context: Any) -> None:
    assert grpo.slime_advantage(group(None, None), make_context(grpo.Options())) == []


@given(rewards_lists, st.booleans())
def test_advantages_of_a_group_sum_to_zero(rewards: list[float], normalize: bool) -> None:
    found = grpo.relative(rewards, normalize_std=normalize)
    size = max(1.0, *map(abs, found))
    assert math.isclose(math.fsum(found), 0.0, abs_tol=1e-6 * size * len(found))


@given(rewards_lists)
def test_a_better_reward_never_gets_a_smaller_advantage(rewards: list[float]) -> None:
    found = grpo.relative(rewards, normalize_std=True)
    ranked = [advantage for _, advantage in sorted(zip(rewards, found, strict=True))]
    assert ranked == sorted(ranked)
