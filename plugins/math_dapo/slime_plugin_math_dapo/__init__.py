"""Maths with verifiable answers, trained as DAPO does (https://arxiv.org/abs/2503.14476).

The reward is a plain function and so runs in a worker process, where a comparison that hangs in
sympy costs one sample. Comparing text there is slower than on the event loop, by some hundred
microseconds a sample; that is little beside generating it, and one function serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slime_hookspecs import (
    KEEP,
    ConfigError,
    Conformance,
    Context,
    EvalSet,
    Group,
    Prompt,
    Reward,
    RunInfo,
    Sample,
    Verdict,
    hookimpl,
)
from slime_hookspecs.datasets import PromptSource, held_out

from slime_plugin_math_dapo import addition
from slime_plugin_math_dapo.conformance import conformance
from slime_plugin_math_dapo.options import Options
from slime_plugin_math_dapo.prompts import read_prompts
from slime_plugin_math_dapo.reward import score

__all__ = [
    "Options",
    "PromptSource",
    "slime_conformance",
    "slime_data_source",
    "slime_defaults",
    "slime_eval_sets",
    "slime_filter",
    "slime_options",
    "slime_reward",
]

ZERO_VARIANCE = Verdict(keep=False, reason="zero_variance")


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
def slime_defaults() -> Mapping[str, Any]:
    """DAPO: several samples a prompt, clip-higher, a loss that is a mean over tokens."""
    return {
        "rollout": {"samples_per_prompt": 8},
        "train": {"aggregation": "token-mean"},
        "plugin": {"policy_loss": {"clip_low": 0.2, "clip_high": 0.28}},
    }


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
def slime_reward(sample: Sample, ctx: Context[Options]) -> Reward:
    """Whether the final answer is right."""
    return score(sample, ctx)


@hookimpl
def slime_filter(group: Group, ctx: Context[Options]) -> Verdict:
    """Dynamic sampling: drop a group whose rewards are all equal, for it teaches nothing."""
    if ctx.options.dynamic_sampling == "off":
        return KEEP
    return KEEP if len({sample.reward for sample in group.scored}) > 1 else ZERO_VARIANCE


@hookimpl
def slime_eval_sets(options: Options) -> list[EvalSet]:
    """Held-out problems of the built-in task, and the files of ``eval_data``."""
    paths = map(Path, options.eval_data)
    sets = [(path.stem, read_prompts(path, options)) for path in paths]
    if options.task:
        sets.insert(0, ("heldout", [addition.prompt(p) for p in addition.problems()[1]]))
    k = options.eval_samples_per_prompt
    return [made for name, prompts in sets for made in held_out(name, prompts, k)]


def _training_prompts(options: Options) -> list[Prompt]:
    if options.task:
        return [addition.prompt(problem) for problem in addition.problems()[0]]
    if not options.data:
        raise ConfigError(
            "math_dapo has nothing to train on; name a file with --math-dapo.data FILE, "
            "or take the built-in task with --math-dapo.task addition"
        )
    return read_prompts(Path(options.data), options)
