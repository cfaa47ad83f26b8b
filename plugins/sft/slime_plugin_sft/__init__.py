"""Supervised fine-tuning: the conversations are data, and nothing is generated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from slime_hookspecs import (
    ConfigError,
    Conformance,
    Context,
    Engine,
    RunInfo,
    Sample,
    StopReason,
    Trace,
    hookimpl,
)
from slime_hookspecs.datasets import PromptSource

from slime_plugin_sft.conversations import read_conversations
from slime_plugin_sft.options import Options
from slime_plugin_sft.segments import SegmentCache

__all__ = [
    "Options",
    "PromptSource",
    "slime_conformance",
    "slime_data_source",
    "slime_defaults",
    "slime_generate",
    "slime_options",
]

#: Conversations of every shape that the options know, for the conformance suite.
EXAMPLES: Final = Path(__file__).with_name("examples.jsonl")

_cache: Final = SegmentCache()


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options


@hookimpl
def slime_defaults() -> Mapping[str, Any]:
    """A run without servers, of one sample a conversation."""
    return {
        "loss": "sft_loss",
        "engine": {"servers": 0},
        "rollout": {"samples_per_prompt": 1, "save": False},
        "eval": {"every": 0, "at_start": False, "at_end": False},
    }


@hookimpl
def slime_conformance() -> Conformance:
    """What the conformance suite should know: a small data file."""
    return Conformance(options={"data": [str(EXAMPLES)]})


@hookimpl
def slime_data_source(options: Options, run: RunInfo) -> PromptSource:
    """The conversations, endlessly."""
    if not options.data:
        raise ConfigError("sft has nothing to train on; name a file with --sft.data FILE")
    seed = run.seed if options.seed is None else options.seed
    paths = [Path(name) for name in options.data]
    conversations = [c for path in paths for c in read_conversations(path, options)]
    return PromptSource(conversations, seed, shuffle=options.shuffle)


@hookimpl
async def slime_generate(sample: Sample, engine: Engine, ctx: Context[Options]) -> Sample:
    """Take the answers from the data: the trace is the conversation, imitated turns marked."""
    segments = _cache.split(sample.prompt, engine, ctx.options.cache_tokens)
    sample.trace = Trace(segments)
    sample.stop = StopReason.DEMONSTRATED
    return sample
