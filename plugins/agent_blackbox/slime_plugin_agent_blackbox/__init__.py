"""Any command or Python callable as the agent: one process a sample, against the OpenAI API."""

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
from slime_hookspecs.datasets import PromptSource

from slime_plugin_agent_blackbox.conformance import conformance
from slime_plugin_agent_blackbox.options import Options

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
    """Several agents for each task, to compare with each other."""
    return {"rollout": {"samples_per_prompt": 8}}


@hookimpl
def slime_conformance() -> Conformance:
    """What the conformance suite should know."""
    return conformance()


@hookimpl
def slime_data_source(options: Options, run: RunInfo) -> PromptSource:
    """The tasks to train on, endlessly. An agent that cannot be started is found here."""
    from slime_plugin_agent_blackbox import launch, tasks

    launch.check(options.whole)
    seed = run.seed if options.seed is None else options.seed
    return PromptSource(tasks.prompts(options), seed, shuffle=options.shuffle)


@hookimpl
def slime_eval_sets(options: Options) -> list[EvalSet]:
    """The tasks that are held out."""
    from slime_plugin_agent_blackbox import tasks

    return tasks.eval_sets(options)


@hookimpl
async def slime_generate(
    sample: Sample, engine: Engine, ctx: Context[Options]
) -> Sample | list[Sample]:
    """Run the agent, and take what the model wrote for it."""
    from slime_plugin_agent_blackbox import episode

    return await episode.play(sample, engine, ctx)


@hookimpl
def slime_reward(sample: Sample, ctx: Context[Options]) -> Reward:
    """What the agent's work was worth, found out while its folder was there."""
    from slime_plugin_agent_blackbox import rewards

    return rewards.score(sample, ctx)
