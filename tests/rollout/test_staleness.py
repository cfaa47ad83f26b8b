"""How old tokens are, and the books of rollouts that nobody trained on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from slime_hookspecs import Group, Prompt, Rollout, Sample, SampleError

from slime_core.rollout.accounting import reopened
from slime_core.rollout.contexts import Scene
from slime_core.rollout.outcomes import Outcome
from slime_core.rollout.staleness import age_metrics, oldest_token, trainer_version, unless_stale


def sample_of(*written: tuple[int, int], failed: bool = False) -> Sample:
    """``written`` is (tokens, weight version) of each sampled segment."""
    sample = Sample(0, 0, Prompt("p", []))
    sample.trace.append_prompt([1, 2])
    for tokens, version in written:
        sample.trace.append_sampled([5] * tokens, [-0.5] * tokens, version)
    sample.trace.append_observed([9])
    sample.reward = None if failed else 1.0
    sample.error = SampleError("p", "slime_reward", "E", "") if failed else None
    return sample


def group_of(*samples: Sample) -> Group:
    return Group(0, samples[0].prompt, list(samples))


def test_ages_are_a_histogram_over_the_tokens_of_scored_samples() -> None:
    groups = [
        group_of(sample_of((3, 2), (1, 4)), sample_of((100, 1), failed=True)),
        group_of(sample_of((2, 4), (2, 5))),
    ]
    assert age_metrics(groups, 5) == {
        "staleness/mean": (3 * 3 + 3 * 1 + 2 * 0) / 8,
        "staleness/max": 3.0,
        "staleness/tokens/0": 2.0,
        "staleness/tokens/1": 3.0,
        "staleness/tokens/3": 3.0,
    }


def test_where_nothing_was_sampled_there_is_no_age() -> None:
    assert age_metrics([group_of(sample_of())], 5) == {}
    assert oldest_token([sample_of()]) is None


@pytest.mark.parametrize(("scene", "version"), [((0, 1), 1), ((4, 4), 5), ((4, 5), 5), ((3, 0), 0)])
def test_the_trainer_has_learned_from_the_steps_before(
    scene: tuple[int, int], version: int
) -> None:
    assert trainer_version(Scene(*scene)) == version


@pytest.mark.parametrize(
    ("written", "oldest_version", "fate"),
    [
        ([(3, 1)], 0, "kept"),
        ([(3, 1)], 1, "kept"),
        ([(3, 1)], 2, "filtered"),
        ([(3, 1), (1, 2)], 2, "kept"),
        ([], 2, "kept"),
    ],
)
def test_a_group_goes_only_where_every_token_is_masked(
    written: Sequence[tuple[int, int]], oldest_version: int, fate: str
) -> None:
    group = group_of(sample_of(*written))
    found = unless_stale(Outcome(group, "kept"), oldest_version)
    assert (found.fate, found.reason) == (fate, "stale" if fate == "filtered" else "")
    failed = Outcome(group, "failed", "reward")
    assert unless_stale(failed, oldest_version) is failed


def test_the_oldest_token_is_looked_for_in_unfinished_samples_too() -> None:
    assert oldest_token([sample_of((1, 4)), sample_of((2, 3), (1, 5), failed=True)]) == 3


def test_books_of_rollouts_that_nobody_trained_on_say_that_their_groups_are_kept() -> None:
    metrics = {
        "prompts/drawn": 6.0,
        "prompts/from_buffer": 1.0,
        "prompts/trained": 4.0,
        "prompts/kept": 1.0,
        "prompts/filtered/dull": 2.0,
        "rollout/tokens": 99.0,
    }
    rollout = Rollout(3, [], 1, metrics)
    carried = {"drawn": 1, "failed/reward": 1}
    assert reopened([rollout], carried) == {
        "drawn": 7,
        "from_buffer": 1,
        "kept": 5,
        "filtered/dull": 2,
        "failed/reward": 1,
    }
    assert reopened([], {}) == {}
