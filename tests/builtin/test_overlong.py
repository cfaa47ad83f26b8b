"""The punishment of answers that come close to the limit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import ConfigError, Prompt, Reward, Sample

from slime_core.builtin import overlong

PROMPT = Prompt("p", [{"role": "user", "content": "1+1="}])


def sample(*turns: int, observed: int = 0) -> Sample:
    """A sample whose model wrote so many tokens in each turn."""
    made = Sample(0, 0, PROMPT)
    made.trace.append_prompt([1] * 50)
    for tokens in turns:
        made.trace.append_sampled([2] * tokens, [-1.0] * tokens, 1)
        made.trace.append_observed([3] * observed)
    return made


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (0, 0.0),
        (16384, 0.0),
        (16385, -1 / 4096),
        (18432, -0.5),
        (20479, -4095 / 4096),
        (20480, -1.0),
        (20481, -1.0),
        (99999, -1.0),
    ],
)
def test_the_papers_limits_give_the_papers_numbers(tokens: int, expected: float) -> None:
    assert overlong.punishment(tokens, 20480, 4096) == pytest.approx(expected, abs=1e-12)
    assert overlong.punishment(tokens, 20480, overlong.Options().cache_share * 20480) == (
        pytest.approx(expected, abs=1e-12)
    )


@pytest.mark.parametrize(("tokens", "expected"), [(9, 0.0), (10, 0.0), (11, -1.0)])
def test_without_a_cache_the_limit_is_a_cliff(tokens: int, expected: float) -> None:
    assert overlong.punishment(tokens, 10, 0.0) == expected


@given(st.integers(1, 5000), st.floats(0, 1), st.integers(0, 6000))
def test_one_more_token_never_pays(limit: int, share: float, tokens: int) -> None:
    now, longer = (overlong.punishment(n, limit, share * limit) for n in (tokens, tokens + 1))
    assert -1.0 <= longer <= now <= 0.0


@pytest.mark.parametrize(
    ("options", "turns", "expected"),
    [
        ({}, (79,), Reward(0.0, {"punished": 0.0})),
        ({}, (90,), Reward(-0.5, {"punished": 1.0})),
        ({}, (50, 40), Reward(-0.5, {"punished": 1.0})),
        ({"max_tokens": 50}, (51,), Reward(-1.0, {"punished": 1.0})),
        ({"cache_share": 1.0}, (25,), Reward(-0.25, {"punished": 1.0})),
    ],
)
async def test_what_the_model_wrote_in_all_turns_counts_against_the_runs_limit(
    options: dict[str, Any], turns: tuple[int, ...], expected: Reward, make_context: Any
) -> None:
    ctx = make_context(overlong.Options(**options), max_response_tokens=100)
    assert await overlong.slime_reward(sample(*turns, observed=500), ctx) == expected


async def test_held_out_sets_measure_answers_and_no_lengths(make_context: Any) -> None:
    ctx = make_context(overlong.Options(), max_response_tokens=100)
    object.__setattr__(ctx, "evaluating", "held_out")
    assert await overlong.slime_reward(sample(1000), ctx) == Reward(0.0)


@pytest.mark.parametrize(
    "wrong", [{"max_tokens": 0}, {"cache_share": -0.1}, {"cache_share": 1.5}], ids=str
)
def test_options_out_of_range_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"overlong.{next(iter(wrong))} is"):
        overlong.Options(**wrong)
