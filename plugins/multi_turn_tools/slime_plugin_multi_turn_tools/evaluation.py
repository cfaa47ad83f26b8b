"""Held-out sets, each measured greedily and by sampling."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean

from slime_hookspecs import EvalSet, Group, Prompt, Sample, Sampling


def eval_sets(name: str, prompts: Sequence[Prompt], samples_per_prompt: int) -> list[EvalSet]:
    """``<name>_greedy`` and, unless ``samples_per_prompt`` is 0, ``<name>_sampled``."""
    safe = re.sub(r"\W+", "_", name)
    greedy = EvalSet(
        f"{safe}_greedy", prompts, sampling=Sampling(temperature=0.0), metrics=accuracy
    )
    if not samples_per_prompt:
        return [greedy]
    sampled = EvalSet(f"{safe}_sampled", prompts, samples_per_prompt, metrics=accuracy)
    return [greedy, sampled]


def accuracy(groups: Sequence[Group]) -> Mapping[str, float]:
    """The part of scored samples that is right, whatever weights the run's rewards have."""
    verdicts = [c for group in groups for s in group.scored for c in _correct(s)]
    return {"accuracy": fmean(verdicts)} if verdicts else {}


def _correct(sample: Sample) -> list[float]:
    return [r.metrics["correct"] for r in sample.rewards.values() if "correct" in r.metrics]
