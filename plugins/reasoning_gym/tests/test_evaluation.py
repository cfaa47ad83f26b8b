"""Held-out problems."""

from __future__ import annotations

from typing import Any

import pytest
from slime_hookspecs import DataError, Group, Reward, Sample, SampleError, Sampling
from slime_hookspecs.testing.kit import make_sample
from slime_plugin_reasoning_gym import Options, slime_data_source, slime_eval_sets
from slime_plugin_reasoning_gym.datasets import FIRST_HELD_OUT, datasets
from slime_plugin_reasoning_gym.evaluation import eval_sets, held_out, measured
from slime_plugin_reasoning_gym.generator import Generator


def sets(generator: Generator, **given: Any) -> dict[str, list[str]]:
    options = Options(**{"tasks": ["counts"], "eval_size": 4, **given})
    found = held_out(datasets(options, generator), options, generator)
    return {one.name: [prompt.id for prompt in one.prompts] for one in eval_sets(found)}


def seeds(ids: list[str]) -> list[int]:
    return [int(name.rpartition("/")[2]) for name in ids]


def test_each_data_set_has_its_own_from_seeds_that_training_does_not_use(
    generator: Generator,
) -> None:
    found = sets(generator, tasks=["counts", "prints"])
    assert set(found) == {"counts", "prints"}
    for ids in found.values():
        assert len(set(ids)) == 4
        assert min(seeds(ids)) >= FIRST_HELD_OUT


def test_they_are_the_same_in_every_run_until_another_seed_is_asked_for(
    generator: Generator,
) -> None:
    assert sets(generator, seed=1) == sets(generator, seed=2)
    assert sets(generator, eval_seed=1) != sets(generator)


def test_they_are_answered_greedily_and_report_scores_and_solved_problems(
    generator: Generator,
) -> None:
    options = Options(datasets={"my-counts": {"task": "counts"}}, eval_size=4)
    (one,) = eval_sets(held_out(datasets(options, generator), options, generator))
    assert (one.name, one.samples_per_prompt, one.metrics) == ("my_counts", 1, measured)
    assert one.sampling == Sampling(temperature=0.0)


def test_levels_get_sets_of_their_own(generator: Generator) -> None:
    assert list(sets(generator, curriculum=True)) == ["counts_level0"]
    both = sets(generator, tasks=["counts", "prints"], eval_levels=[0, 1, 7])
    assert list(both) == ["counts_level0", "counts_level1", "prints"]
    assert both["counts_level1"][0].startswith("counts/level1/")


def test_there_are_none_where_none_are_asked_for(generator: Generator) -> None:
    assert sets(generator, eval_size=0) == {}


def test_of_a_small_data_set_half_the_problems_are_left_to_train_on(generator: Generator) -> None:
    small = {"counts": {"config": {"spread": 6}}}
    assert len(sets(generator, datasets=small, eval_size=10)["counts"]) == 3
    one = {"counts": {"config": {"spread": 1}}}
    assert sets(generator, datasets=one) == {}


def test_problems_that_fail_are_left_out_and_a_data_set_that_always_fails_is_named(
    generator: Generator,
) -> None:
    assert all(seed % 2 == 0 for seed in seeds(sets(generator, tasks=["odd"])["odd"]))
    with pytest.raises(DataError, match=r"'raises' of reasoning_gym: 3 held-out .*no such board"):
        sets(generator, tasks=["raises"], max_failures=2)


def test_a_question_that_is_held_out_is_not_trained_on(stand_in: None, slime_context: Any) -> None:
    options = Options(datasets={"counts": {"config": {"spread": 12}}}, eval_size=5, timeout_s=2.25)
    (one,) = slime_eval_sets(options)
    trained = slime_data_source(options, slime_context().run).take(60)
    asked, held = ({str(p.messages) for p in prompts} for prompts in (trained, one.prompts))
    assert (len(held), len(asked)) == (5, 7)
    assert not asked & held


def test_sets_measure_scores_and_solved_problems_whatever_the_weights(generator: Generator) -> None:
    def scored(value: float) -> Sample:
        parts = {"score": value, "solved": float(value == 1), "answered": 1.0}
        rewards = {"other": Reward(9.0), "rg": Reward(value, parts)}
        return make_sample(reward=0.1, rewards=rewards)

    failed = scored(1.0)
    failed.error = SampleError("rg", "slime_reward", "ValueError", "no")
    samples = [scored(1.0), scored(0.5), scored(0.0), scored(0.5), failed]
    group = Group(0, samples[0].prompt, samples)
    assert measured([group]) == {"score": 0.5, "accuracy": 0.25}
    assert measured([]) == {}
