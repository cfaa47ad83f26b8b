"""All procedural tasks of reasoning-gym (https://arxiv.org/abs/2505.24760), with curricula.

The reward is a plain function and so runs in a worker process: some of the package's scorers parse
formulas, and one that hangs costs one sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from slime_hookspecs import (
    Conformance,
    Context,
    EvalSet,
    Group,
    Reward,
    RunInfo,
    Sample,
    hookimpl,
)

from slime_plugin_reasoning_gym.conformance import conformance
from slime_plugin_reasoning_gym.options import Options

if TYPE_CHECKING:
    from slime_plugin_reasoning_gym.source import ProblemSource

__all__ = [
    "Options",
    "slime_conformance",
    "slime_data_source",
    "slime_defaults",
    "slime_eval_sets",
    "slime_on_group",
    "slime_options",
    "slime_reward",
]


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
def slime_defaults() -> Mapping[str, Any]:
    """Several answers a problem, to compare with each other."""
    return {"rollout": {"samples_per_prompt": 8}}


@hookimpl
def slime_conformance() -> Conformance:
    """What the conformance suite should know."""
    return conformance()


@hookimpl
def slime_data_source(options: Options, run: RunInfo) -> ProblemSource:
    """Problems of all data sets, endlessly. What the package refuses is found here."""
    from slime_plugin_reasoning_gym import opened

    return opened.open_source(options, run)


@hookimpl
def slime_eval_sets(options: Options) -> list[EvalSet]:
    """Held-out problems of each data set."""
    from slime_plugin_reasoning_gym import evaluation, opened

    return evaluation.eval_sets(opened.open_held_out(options))


@hookimpl
def slime_reward(sample: Sample, ctx: Context[Options]) -> Reward:
    """What the package's own scorer says of the final answer."""
    from slime_plugin_reasoning_gym import reward

    return reward.score(sample, ctx.options)


@hookimpl
def slime_on_group(group: Group, ctx: Context[Options]) -> None:
    """Tell the curriculum how many answers were right."""
    from slime_plugin_reasoning_gym import opened

    opened.see(group, ctx.run)
