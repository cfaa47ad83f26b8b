"""Search-augmented reasoning, trained as Search-R1 does (https://arxiv.org/abs/2503.09516).

The model searches in the middle of its reasoning. What was found is observed and not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slime_hookspecs import (
    ConfigError,
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

from slime_plugin_search_r1.conformance import conformance
from slime_plugin_search_r1.evaluation import eval_sets
from slime_plugin_search_r1.options import Options
from slime_plugin_search_r1.questions import read_questions
from slime_plugin_search_r1.reward import ACCOUNT, score

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
    """Several answers a question, to compare with each other."""
    return {"rollout": {"samples_per_prompt": 8}}


@hookimpl
def slime_conformance() -> Conformance:
    """What the conformance suite should know."""
    return conformance()


@hookimpl
def slime_data_source(options: Options, run: RunInfo) -> PromptSource:
    """The questions to train on, endlessly. A bad corpus or server is found here, too."""
    from slime_plugin_search_r1 import retrieval

    if not options.data:
        raise ConfigError(
            "search_r1 has nothing to train on; name files with --search-r1.data FILE"
        )
    questions = read_questions(options.data, options)
    retrieval.check(options)
    seed = run.seed if options.seed is None else options.seed
    return PromptSource(questions, seed, shuffle=options.shuffle)


@hookimpl
def slime_eval_sets(options: Options) -> list[EvalSet]:
    """The files of ``eval_data``."""
    return eval_sets(options)


@hookimpl
async def slime_generate(sample: Sample, engine: Engine, ctx: Context[Options]) -> Sample:
    """Let the model search and answer, or go on where it was interrupted."""
    from slime_plugin_search_r1 import episode, retrieval

    retriever = retrieval.retriever(ctx.options)
    budget = ctx.run.max_response_tokens
    sample.stop = await episode.play(sample, engine, retriever, ctx.options, budget)
    sample.metadata[ACCOUNT] = episode.account(sample.trace, engine, ctx.options)
    return sample


@hookimpl
async def slime_reward(sample: Sample, ctx: Context[Options]) -> Reward:
    """Exact match with a right answer. Microseconds of work, so it stays on the event loop."""
    return score(sample, ctx.options)
