"""Which answers are accepted: by reward, by length, each text once, and not more than asked for."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import ConfigError, Sample, StopReason
from slime_hookspecs.testing.kit import make_sample
from slime_plugin_rejection_sampling import Options
from slime_plugin_rejection_sampling.choosing import rejected


def reasons(group: Any, **options: Any) -> dict[int, str]:
    return rejected(group.scored, Options(**options))


def test_answers_below_the_threshold_are_rejected(group: Any) -> None:
    answers = group((1.0, "a"), (0.99, "b"), (1.5, "c"))
    assert reasons(answers) == {1: "below_threshold"}
    assert reasons(answers, threshold=1.2) == {0: "below_threshold", 1: "below_threshold"}
    assert reasons(answers, threshold=-1.0) == {}


def test_of_the_accepted_the_best_and_then_the_shortest_are_kept(group: Any) -> None:
    answers = group(
        (1.0, "long answer"), (1.0, "short"), (2.0, "the longest answer"), (1.0, "mid a")
    )
    assert reasons(answers, keep=1) == {0: "surplus", 1: "surplus", 3: "surplus"}
    assert reasons(answers, keep=2) == {0: "surplus", 3: "surplus"}
    assert reasons(answers, keep=3) == {0: "surplus"}
    assert reasons(answers, keep=0) == {}


def test_of_equals_the_first_is_kept(group: Any) -> None:
    assert reasons(group((1.0, "ab"), (1.0, "cd")), keep=1) == {1: "surplus"}


def test_the_same_text_is_accepted_once(group: Any) -> None:
    answers = group((1.0, "a"), (1.0, " a\n"), (1.0, "b"), (0.0, "a"))
    assert reasons(answers) == {1: "duplicate", 3: "below_threshold"}
    assert reasons(answers, distinct=False) == {3: "below_threshold"}


def test_a_duplicate_takes_no_place_of_those_that_are_kept(group: Any) -> None:
    assert reasons(group((1.0, "a"), (1.0, "a"), (1.0, "bb")), keep=2) == {1: "duplicate"}


def test_episodes_of_several_turns_are_the_same_if_every_token_is() -> None:
    def episode(index: int, first: str) -> Sample:
        sample = make_sample(response=first, reward=1.0)
        sample.trace.append_observed([70])
        sample.trace.append_sampled([71], [-0.5], 1)
        sample.index, sample.response = index, "same end"
        return sample

    episodes = [episode(0, "a"), episode(1, "b"), episode(2, "a")]
    assert rejected(episodes, Options()) == {2: "duplicate"}


@pytest.mark.parametrize("stop", [StopReason.LENGTH, StopReason.CONTEXT, StopReason.TIMEOUT])
def test_what_a_limit_cut_off_is_rejected_unless_allowed(group: Any, stop: StopReason) -> None:
    answers = group((1.0, "a", stop), (0.0, "b", stop), (1.0, "c"))
    assert reasons(answers) == {0: "truncated", 1: "below_threshold"}
    assert reasons(answers, truncated=True) == {1: "below_threshold"}


def test_an_episode_that_ran_out_of_turns_is_whole(group: Any) -> None:
    assert reasons(group((1.0, "a", StopReason.TURNS))) == {}


def test_the_best_are_accepted_whatever_their_reward_is(group: Any) -> None:
    answers = group((-3.0, "a"), (-1.0, "b"), (-2.0, "c"))
    assert reasons(answers, accept="best", keep=1) == {0: "surplus", 2: "surplus"}
    assert set(reasons(answers)) == {0, 1, 2}


answers = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.sampled_from(["a", "b", "cc", "ddd"])),
    max_size=12,
)


@given(answers, st.integers(0, 4), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter_and_limits_hold(
    given_: list[tuple[float, str]], keep: int, distinct: bool, rng: random.Random
) -> None:
    samples = [make_sample(response=text, reward=reward) for reward, text in given_]
    options = Options(keep=keep, distinct=distinct)
    out = rejected(samples, options)
    shuffled = list(samples)
    rng.shuffle(shuffled)
    assert rejected(shuffled, options) == out
    accepted = [s for s in samples if s.index not in out]
    assert all((s.reward or 0.0) >= 1.0 for s in accepted)
    assert not keep or len(accepted) <= keep
    assert not distinct or len({s.response for s in accepted}) == len(accepted)
    right = {s.response for s in samples if (s.reward or 0.0) >= 1.0}
    assert not right or accepted


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"threshold": float("nan")}, "threshold is nan; give a finite reward"),
        ({"threshold": float("-inf")}, "or accept=best"),
        ({"keep": -1}, "keep is -1, below 0; 0 keeps all"),
        ({"accept": "best", "keep": 0}, "accept=best with keep=0 accepts every answer"),
    ],
)
def test_options_that_accept_nothing_or_everything_are_refused(
    options: dict[str, Any], found: str
) -> None:
    with pytest.raises(ConfigError, match=found):
        Options(**options)
