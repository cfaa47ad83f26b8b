"""Advantages of tokens whose own rewards are known, against the sum written the slow way."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slime_hookspecs import BatchField, ConfigError, Prompt, Sample

from slime_core.batching import build_shards
from slime_core.builtin import reward_to_go

PROMPT = Prompt("p", [{"role": "user", "content": "1+1="}])
samples_of_rewards = st.lists(
    st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=40), min_size=1, max_size=5
)


def slowly(samples: list[list[float]], gamma: float) -> list[float]:
    """The definition, token by token."""
    return [
        sum(gamma ** (k - t) * rewards[k] for k in range(t, len(rewards)))
        for rewards in samples
        for t in range(len(rewards))
    ]


def batch_of(samples: list[list[float]], advantages: list[float]) -> dict[str, Any]:
    where = [place for place, rewards in enumerate(samples) for _ in rewards]
    return {
        "sample_index": torch.tensor(where),
        "sample_advantages": torch.tensor(advantages),
        "token_rewards": torch.tensor([reward for rewards in samples for reward in rewards]),
    }


def advantages(ctx: Any, samples: list[list[float]], own: list[float]) -> Any:
    return reward_to_go.slime_token_advantage(batch_of(samples, own), ctx)


@pytest.mark.parametrize(
    ("gamma", "expected"),
    [
        (1.0, [7.0, 6.0, 4.0, -1.0, 0.0]),
        (0.5, [3.75, 4.5, 4.0, -1.5, 0.0]),
        (0.0, [2.0, 3.0, 4.0, -2.0, 0.0]),
    ],
)
def test_a_token_gets_its_samples_advantage_and_what_is_still_to_come(
    gamma: float, expected: list[float], make_context: Any
) -> None:
    ctx = make_context(reward_to_go.Options(gamma))
    found = advantages(ctx, [[1.0, 2.0, 3.0], [-1.0, 1.0]], [1.0, -1.0])
    assert found.dtype == torch.float32
    assert found.tolist() == expected


@settings(deadline=None)
@given(samples_of_rewards, st.floats(0, 1))
def test_sums_are_those_of_the_definition(samples: list[list[float]], gamma: float) -> None:
    batch = batch_of(samples, [0.0] * len(samples))
    rewards = batch["token_rewards"].double()
    found = reward_to_go.to_go(rewards, batch["sample_index"], gamma)
    assert found.tolist() == pytest.approx(slowly(samples, gamma), rel=1e-9, abs=1e-9)


def test_small_rewards_survive_beside_large_ones_of_another_sample() -> None:
    samples = [[1e-3] * 4, [1e6] * 4000]
    batch = batch_of(samples, [0.0, 0.0])
    found = reward_to_go.to_go(batch["token_rewards"], batch["sample_index"], 1.0)
    assert found[:4].tolist() == pytest.approx([4e-3, 3e-3, 2e-3, 1e-3], rel=1e-5)


def test_a_long_trace_with_a_small_discount_stays_finite() -> None:
    found = reward_to_go.to_go(torch.ones(20_000), torch.zeros(20_000, dtype=torch.int64), 0.9)
    assert found[0].item() == pytest.approx(10.0, rel=1e-5)
    assert found[-1].item() == 1.0


def test_the_rewards_of_the_batch_stay_as_they_were(make_context: Any) -> None:
    batch = batch_of([[1.0, 2.0], [3.0]], [0.0, 0.0])
    reward_to_go.slime_token_advantage(batch, make_context(reward_to_go.Options()))
    assert batch["token_rewards"].tolist() == [1.0, 2.0, 3.0]


def test_rewards_travel_from_samples_into_the_batch_and_default_to_0() -> None:
    samples = [Sample(i, i, PROMPT, reward=1.0, advantage=float(i)) for i in range(2)]
    for sample in samples:
        sample.trace.append_prompt([1])
        sample.trace.append_sampled([2, 3], [-1.0, -1.0], 1)
    samples[0].fields["token_rewards"] = [0.0, 0.5, 0.25]
    fields = reward_to_go.slime_batch_fields()
    shards = build_shards(
        samples,
        dp=1,
        updates=1,
        micro_batch_tokens=99,
        aggregation="token-mean",
        fields=fields,
        owners={"token_rewards": "reward_to_go"},
    )
    columns = shards[0].updates[0][0].columns
    order = columns["sample_indices"].tolist()
    rewards = {0: [0.0, 0.5, 0.25], 1: [0.0, 0.0, 0.0]}
    assert columns["token_rewards"].tolist() == [*rewards[order[0]], *rewards[order[1]]]
    assert fields == [BatchField("token_rewards", per="token", dtype="float32", default=0.0)]


@pytest.mark.parametrize("gamma", [-0.1, 1.1, float("nan")])
def test_a_discount_out_of_range_is_refused_by_name(gamma: float) -> None:
    with pytest.raises(ConfigError, match=r"reward_to_go.gamma is"):
        reward_to_go.Options(gamma)
