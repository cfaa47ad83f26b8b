"""The reward of an episode: what its environment gave."""

from __future__ import annotations

from typing import Any

from slime_hookspecs import DataError, Reward, Sample

from slime_plugin_agent_gym.actions import Mistake, read_action
from slime_plugin_agent_gym.episode import ACCOUNT
from slime_plugin_agent_gym.options import Options
from slime_plugin_agent_gym.world import opened


async def score(sample: Sample, options: Options) -> Reward:
    """The sum of rewards, or, where turns get theirs themselves, the last one.

    A sample that another plugin generated is scored by its response as the only action.

    Raises:
        DataError: the prompt has no seed of an environment.
        EnvironmentFailed: the environment raised or hung.
    """
    seed = seed_of(sample)
    account = sample.metadata.get(ACCOUNT)
    if not isinstance(account, dict) or "rewards" not in account:
        account = await _one_action(sample, options, seed)
    rewards: list[float] = account["rewards"]
    own = rewards if options.credit == "final" else rewards[-1:]
    value = sum(own) + (0.0 if account["finished"] else options.unfinished_reward)
    metrics = {
        "return": float(sum(rewards)),
        "turns": float(len(rewards)),
        "mistakes": float(account["mistakes"]),
        "finished": float(account["finished"]),
        "restarts": float(account.get("restarts", 0)),
    }
    return Reward(float(value), metrics)


def seed_of(sample: Sample) -> int:
    """The seed that a prompt is of; prompts may come from another plugin's data source."""
    seed = sample.prompt.label
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise DataError(
            f"prompt {sample.prompt.id}: its label is {seed!r:.100}; "
            f"agent_gym needs the seed of an environment"
        )
    return seed


async def _one_action(sample: Sample, options: Options, seed: int) -> dict[str, Any]:
    action = read_action(sample.response, options)
    if isinstance(action, Mistake):
        return {"rewards": [options.mistake_reward], "mistakes": 1, "finished": False}
    async with opened(options, seed) as world:
        await world.reset()
        outcome = await world.step(action)
    return {"rewards": [outcome.reward], "mistakes": 0, "finished": outcome.terminated}
