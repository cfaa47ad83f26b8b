"""The seeds that are played, those that are held out, and options."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import ConfigError, DataSource, Group, Prompt, Reward
from slime_hookspecs.testing.kit import make_run, make_sample
from slime_plugin_agent_gym import Options, slime_data_source, slime_eval_sets
from slime_plugin_agent_gym.seeds import FIRST_HELD_OUT, SeedSource, measured, teacher_seed


def options(**more: Any) -> Options:
    return Options(**{"env": "number_guessing", **more})


def labels(source: SeedSource, count: int) -> list[int]:
    return [prompt.label for prompt in source.take(count)]


def test_a_prompt_is_a_seed() -> None:
    source = slime_data_source(options(template="Play: {observation}"), make_run(seed=3))
    assert isinstance(source, DataSource)
    first, second = source.take(2)
    assert second.label == first.label + 1
    message = {"role": "user", "content": "Play: {observation}"}
    assert first == Prompt(f"number_guessing/{first.label}", [message], first.label)


def test_the_runs_seed_or_the_options_fixes_them() -> None:
    def first(run_seed: int, **more: Any) -> int:
        found: int = slime_data_source(options(**more), make_run(seed=run_seed)).take(1)[0].label
        return found

    assert first(1) == first(1) != first(2)
    assert first(1, seed=9) == first(2, seed=9)


def test_with_a_size_they_come_again() -> None:
    found = labels(SeedSource(options(size=3), 0), 7)
    assert found == [*found[:3], *found[:3], found[0]]


@given(st.lists(st.integers(0, 5), max_size=4), st.integers(0, 9), st.integers(0, 4))
def test_it_continues_exactly_after_the_last_seed_taken(
    before: list[int], after: int, size: int
) -> None:
    source = SeedSource(options(size=size), 1)
    for count in before:
        source.take(count)
    state = json.loads(json.dumps(source.state()))
    other = SeedSource(options(size=size), 2)
    other.take(2)
    other.restore(state)
    assert other.state() == state
    assert labels(other, after) == labels(source, after)


@given(st.integers())
def test_held_out_seeds_are_never_trained_on(seed: int) -> None:
    source = SeedSource(options(), seed)
    source.restore({**source.state(), "next": 2**31 - source.state()["first"] - 2})
    assert labels(source, 3) == [2**31 - 2, 2**31 - 1, 0]
    (held_out,) = slime_eval_sets(options(eval_seed=seed))
    found = [prompt.label for prompt in held_out.prompts]
    assert len(set(found)) == 50
    assert FIRST_HELD_OUT <= min(found) <= max(found) < 2**32
    assert 0 <= teacher_seed(seed, 2**31) < FIRST_HELD_OUT


def test_they_are_played_greedily_and_are_the_same_in_every_run() -> None:
    one, other = (slime_eval_sets(options(seed=seed))[0] for seed in (1, 2))
    assert (one.name, one.sampling.temperature) == ("heldout", 0.0)
    assert one.prompts == other.prompts
    assert slime_eval_sets(options(eval_size=0)) == []


def test_sets_measure_what_the_reward_tells() -> None:
    def scored(turns: float, finished: float) -> Any:
        parts = {"return": 1.0, "turns": turns, "mistakes": 0.0, "finished": finished}
        return make_sample(reward=0.5, rewards={"x": Reward(9.0), "agent_gym": Reward(0.5, parts)})

    samples = [scored(2.0, 1.0), scored(4.0, 0.0)]
    group = Group(0, samples[0].prompt, samples)
    expected = {"return": 1.0, "turns": 3.0, "mistakes": 0.0, "finished": 0.5}
    assert measured([group]) == expected
    assert measured([]) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"template": "go"}, "template is 'go', without {observation}"),
        ({"action_tag": "<a>"}, "action_tag is '<a>', not a tag's name"),
        ({"max_turns": 0}, "max_turns is 0; it must be 1 to"),
        ({"turn_tokens": -1}, "turn_tokens is -1"),
        ({"observation_chars": 0}, "observation_chars is 0"),
        ({"step_timeout_s": 0}, "step_timeout_s is 0"),
        ({"mistake_reward": float("nan")}, "mistake_reward is nan"),
        ({"unfinished_reward": float("inf")}, "unfinished_reward is inf"),
        ({"size": -1}, "size is -1"),
        ({"eval_size": -1}, "eval_size is -1"),
    ],
)
def test_values_that_no_task_can_serve_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Options(**given)
    assert message in str(raised.value)
