"""Held-out sets, each measured greedily and by sampling."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean

from slime_hookspecs.data import EvalSet
from slime_hookspecs.engine import Sampling
from slime_hookspecs.records import Group, Prompt, Sample


def held_out(name: str, prompts: Sequence[Prompt], samples_per_prompt: int) -> list[EvalSet]:
    """``<name>_greedy`` and, unless ``samples_per_prompt`` is 0, ``<name>_sampled``.

    Both report ``accuracy``.
    """
    safe = re.sub(r"\W+", "_", name)
    greedy = EvalSet(
        f"{safe}_greedy", prompts, sampling=Sampling(temperature=0.0), metrics=accuracy
    )
    if not samples_per_prompt:
        return [greedy]
    sampled = EvalSet(f"{safe}_sampled", prompts, samples_per_prompt, metrics=accuracy)
    return [greedy, sampled]


def accuracy(groups: Sequence[Group]) -> Mapping[str, float]:
    """The part of scored samples that is right, whatever weights the run's rewards have.

    Right is what a reward says by its metric ``correct``, 0 or 1.
    """
    verdicts = [c for group in groups for s in group.scored for c in _correct(s)]
    return {"accuracy": fmean(verdicts)} if verdicts else {}


def _correct(sample: Sample) -> list[float]:
    return [r.metrics["correct"] for r in sample.rewards.values() if "correct" in r.metrics]
