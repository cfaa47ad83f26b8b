"""Episodes through the core's own parts: its columns for the trainer, its saved samples."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from slime_hookspecs import Sample, StopReason, Trace
from slime_hookspecs.testing.kit import ScriptedEngine, make_context, make_run, make_sample
from slime_plugin_agent_gym import Options, slime_data_source, slime_generate, slime_reward

from slime_core.batching import build_shards
from slime_core.builtin import reward_to_go

Play = Callable[..., Sample]


def columns(samples: list[Sample]) -> list[dict[str, Any]]:
    """What a trainer rank gets of finished samples."""
    for sample in samples:
        sample.reward, sample.advantage = 1.0, 0.5
    shards = build_shards(
        samples,
        dp=1,
        updates=1,
        micro_batch_tokens=4096,
        aggregation="token-mean",
        fields=reward_to_go.slime_batch_fields(),
    )
    return [batch.columns for shard in shards for update in shard.updates for batch in update]


@pytest.mark.parametrize("turns", [["a", "b", "end"], ["end"], ["a", " ", "b", "cut"]])
def test_token_rewards_reach_the_trainer_at_the_tokens_that_earned_them(
    play: Play, turns: list[str]
) -> None:
    sample = play(turns, credit="turns")
    (found,) = columns([sample])
    assert found["token_rewards"].tolist() == sample.fields["token_rewards"]
    rewards = sample.metadata["agent_gym"]["rewards"]
    assert found["token_rewards"].sum() == sum(rewards[:-1])
    assert found["loss_mask"].sum() == sample.trace.sampled_length


def test_an_episode_that_ended_before_its_first_action_is_no_trouble(play: Play) -> None:
    sample = play(["abcdef"], budget=3, credit="turns")
    assert sample.stop is StopReason.LENGTH
    (found,) = columns([sample])
    assert not found["token_rewards"].any()


def test_samples_with_and_without_token_rewards_go_together(play: Play) -> None:
    samples = [play(["a", "end"], credit="turns"), play(["a", "end"])]
    for index, sample in enumerate(samples):
        sample.index = index
    values = [batch["token_rewards"].sum() for batch in columns(samples)]
    assert sum(values) == 1.0


def test_observations_are_never_trained_on(play: Play) -> None:
    sample = play(["a", "b", "end"])
    (found,) = columns([sample])
    written = ScriptedEngine().decode(
        [
            token
            for token, mask in zip(found["tokens"].tolist(), found["loss_mask"], strict=True)
            if mask
        ]
    )
    assert written == "abend"


@pytest.mark.parametrize("env", ["number_guessing", "tic_tac_toe"])
async def test_a_hundred_episodes_side_by_side_are_those_that_are_played_alone(env: str) -> None:
    options, run = Options(env=env, max_turns=9), make_run()
    prompts = slime_data_source(options, run).take(100)
    turns = ["5", "1", "9", "3", "7", "2", "4", "6", "8"]

    async def one(prompt: Any) -> tuple[Trace, float]:
        ctx = make_context(options=options, run=run)
        sample = make_sample(prompt)
        await slime_generate(sample, ScriptedEngine(turns), ctx)
        return sample.trace, (await slime_reward(sample, ctx)).value

    alone = [await one(prompt) for prompt in prompts]
    together = await asyncio.gather(*map(one, prompts))
    assert together == alone
    assert len({value for _, value in alone}) > 1


async def test_an_episode_survives_being_saved_between_two_turns() -> None:
    options, run = Options(env="number_guessing", max_turns=9), make_run()
    (prompt,) = slime_data_source(options, run).take(1)
    ctx = make_context(options=options, run=run)
    whole = make_sample(prompt)
    await slime_generate(whole, ScriptedEngine(["1", "2", "3", "4"]), ctx)
    first = whole.trace.segments[:3]
    resumed = make_sample(prompt)
    resumed.trace = Trace.from_list(json.loads(json.dumps(Trace(first).to_list())))
    await slime_generate(resumed, ScriptedEngine(["1", "2", "3", "4"]), ctx)
    assert resumed.trace == whole.trace
    assert resumed.metadata == whole.metadata
