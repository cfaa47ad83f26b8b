"""Agent episodes against text environments: any number of turns, any object with reset and step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slime_hookspecs import (
    Conformance,
    Context,
    Engine,
    EvalSet,
    Reward,
    RunInfo,
    Sample,
    hookimpl,
)

from slime_plugin_agent_gym.conformance import conformance
from slime_plugin_agent_gym.options import Options
from slime_plugin_agent_gym.seeds import SeedSource, eval_sets

__all__ = [
    "Options",
    "slime_conformance",
    "slime_data_source",
    "slime_defaults",
    "slime_eval_sets",
    "slime_generate",
    "slime_options",
    "slime_reward",
]


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
def slime_defaults() -> Mapping[str, Any]:
    """Several episodes of each seed, to compare with each other."""
    return {"rollout": {"samples_per_prompt": 8}}


@hookimpl
def slime_conformance() -> Conformance:
    """What the conformance suite should know."""
    return conformance()


@hookimpl
def slime_data_source(options: Options, run: RunInfo) -> SeedSource:
    """Seeds without end. An environment that cannot be made is found here."""
    from slime_plugin_agent_gym import loading

    loading.check(options)
    return SeedSource(options, run.seed if options.seed is None else options.seed)


@hookimpl
def slime_eval_sets(options: Options) -> list[EvalSet]:
    """Held-out seeds."""
    return eval_sets(options)


@hookimpl
async def slime_generate(sample: Sample, engine: Engine, ctx: Context[Options]) -> Sample:
    """Let the model act, or go on where it was interrupted."""
    from slime_plugin_agent_gym import episode, reward

    options = ctx.options
    own = reward.seed_of(sample)
    seed = own if options.same_start else ctx.seed % 2**32
    budget = ctx.run.max_response_tokens
    sample.stop = await episode.play(sample, engine, options, budget, seed)
    if options.credit == "turns":
        rewards = sample.metadata[episode.ACCOUNT]["rewards"]
        sample.fields[episode.FIELD] = episode.token_rewards(sample.trace, rewards)
    return sample


@hookimpl
async def slime_reward(sample: Sample, ctx: Context[Options]) -> Reward:
    """What the environment gave. The episode is over, so there is nothing to wait for."""
    from slime_plugin_agent_gym import reward

    return await reward.score(sample, ctx.options)
