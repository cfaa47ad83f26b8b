"""A tool loop in the model's own format: a calculator, and Python in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slime_hookspecs import (
    ConfigError,
    Conformance,
    Context,
    Engine,
    EvalSet,
    Prompt,
    Reward,
    RunInfo,
    Sample,
    hookimpl,
)
from slime_hookspecs.datasets import PromptSource, held_out

from slime_plugin_multi_turn_tools import tasks
from slime_plugin_multi_turn_tools.conformance import conformance
from slime_plugin_multi_turn_tools.episode import play
from slime_plugin_multi_turn_tools.options import Options
from slime_plugin_multi_turn_tools.prompts import read_prompts
from slime_plugin_multi_turn_tools.reward import score
from slime_plugin_multi_turn_tools.tools.toolbox import toolbox

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
    """Several samples a prompt, and the tool loop to make them."""
    return {"rollout": {"samples_per_prompt": 8}}


@hookimpl
def slime_conformance() -> Conformance:
    """What the conformance suite should know."""
    return conformance()


@hookimpl
def slime_data_source(options: Options, run: RunInfo) -> PromptSource:
    """The training prompts, endlessly."""
    seed = run.seed if options.seed is None else options.seed
    return PromptSource(_training_prompts(options), seed, shuffle=options.shuffle)


@hookimpl
async def slime_generate(sample: Sample, engine: Engine, ctx: Context[Options]) -> Sample:
    """Let the model write and call tools until it answers without a call."""
    return await play(sample, engine, ctx)


@hookimpl
async def slime_reward(sample: Sample, ctx: Context[Options]) -> Reward:
    """Whether the final answer is right. It compares short texts, so the event loop may do it."""
    return score(sample, ctx)


@hookimpl
def slime_eval_sets(options: Options) -> list[EvalSet]:
    """Held-out problems of the built-in task, and the files of ``eval_data``.

    Called before any engine starts, and so the place to refuse a sandbox that is too weak.
    """
    toolbox(options)
    paths = map(Path, options.eval_data)
    sets = [(path.stem, read_prompts(path, options)) for path in paths]
    if options.task:
        sets.insert(0, ("heldout", [tasks.prompt(p) for p in tasks.problems()[1]]))
    k = options.eval_samples_per_prompt
    return [made for name, prompts in sets for made in held_out(name, prompts, k)]


def _training_prompts(options: Options) -> list[Prompt]:
    if options.task:
        return [tasks.prompt(problem) for problem in tasks.problems()[0]]
    if not options.data:
        raise ConfigError(
            "multi_turn_tools has nothing to train on; name a file with "
            "--multi-turn-tools.data FILE, or take the built-in task with "
            "--multi-turn-tools.task products"
        )
    return read_prompts(Path(options.data), options)
