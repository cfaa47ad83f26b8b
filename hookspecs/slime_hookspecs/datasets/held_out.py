"""Held-out sets, measured greedily, and by sampling where asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TypeAlias

from slime_hookspecs.data import EvalSet
from slime_hookspecs.engine import Sampling
from slime_hookspecs.records import Group, Prompt, Sample

Metrics: TypeAlias = Callable[[Sequence[Group]], Mapping[str, float]]


def accuracy(groups: Sequence[Group]) -> Mapping[str, float]:
    """The part of scored samples that is right, whatever weights the run's rewards have.

    Right is what a reward says by its metric ``correct``, 0 or 1.
    """
    verdicts = [c for group in groups for s in group.scored for c in _correct(s)]
    return {"accuracy": fmean(verdicts)} if verdicts else {}


def greedy(name: str, prompts: Sequence[Prompt], metrics: Metrics = accuracy) -> EvalSet:
    """A set of one greedy answer to each prompt.

    Args:
        name: Name of the set; what is no letter, digit or ``_`` in it becomes ``_``.
        prompts: All of it.
        metrics: What it reports besides the mean reward, from its scored groups.
    """
    return EvalSet(_safe(name), prompts, sampling=Sampling(temperature=0.0), metrics=metrics)


def held_out(
    name: str, prompts: Sequence[Prompt], samples_per_prompt: int, metrics: Metrics = accuracy
) -> list[EvalSet]:
    """``<name>_greedy`` and, unless ``samples_per_prompt`` is 0, ``<name>_sampled``.

    Args:
        name: What both names begin with.
        prompts: All of either set.
        samples_per_prompt: Answers to each prompt of the sampled set.
        metrics: What both report besides the mean reward, from their scored groups.
    """
    sets = [greedy(f"{name}_greedy", prompts, metrics)]
    if samples_per_prompt:
        sampled = EvalSet(_safe(f"{name}_sampled"), prompts, samples_per_prompt, metrics=metrics)
        sets.append(sampled)
    return sets


def _safe(name: str) -> str:
    return re.sub(r"\W+", "_", name)


def _correct(sample: Sample) -> list[float]:
    return [r.metrics["correct"] for r in sample.rewards.values() if "correct" in r.metrics]
