"""The reward: whether the answer is right, and in which format the model wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from slime_hookspecs import DataError, Group, Prompt, Reward, Sample

from slime_plugin_search_r1 import answers
from slime_plugin_search_r1.options import Options
from slime_plugin_search_r1.turns import well_formed

#: Where in a sample's metadata the episode's account of itself is.
ACCOUNT = "search_r1"


def score(sample: Sample, options: Options) -> Reward:
    """1 for a right answer, 0 for a wrong one, and between them where the format has a part.

    With ``format_reward`` f: a right answer in the right format is 1, a right one in the wrong
    format 1 - f, a wrong one in the right format f, else 0. That is Search-R1's ``em_format``.

    Raises:
        DataError: the prompt's label is no right answer or list of them.
    """
    golden = read_label(sample.prompt)
    answer = answers.extract(sample.response)
    correct = answer is not None and answers.exact_match(answer, golden)
    told: Mapping[str, Any] = sample.metadata.get(ACCOUNT, {})
    format_ok = told.get("well_formed", True) and well_formed(sample.response, think=options.think)
    value = abs(float(correct) - options.format_reward * (correct != format_ok))
    metrics = {
        "correct": float(correct),
        "answered": float(answer is not None),
        "well_formed": float(format_ok),
        "searches": float(told.get("searches", 0)),
        "mistakes": float(told.get("mistakes", 0)),
    }
    return Reward(value, metrics)


def read_label(prompt: Prompt) -> Sequence[str]:
    """The right answers of a prompt, which may come from another plugin's data source.

    Raises:
        DataError: there are none.
    """
    label = prompt.label
    golden = [label] if isinstance(label, str) else label
    if isinstance(golden, list) and golden and all(_is_answer(one) for one in golden):
        return golden
    raise DataError(
        f"prompt {prompt.id}: its label is {label!r:.200}; search_r1 needs a right answer, or a "
        f"list of them, that are not blank"
    )


def exact_match(groups: Sequence[Group]) -> Mapping[str, float]:
    """The part of scored samples that is right, whatever weights the run's rewards have."""
    found = [
        reward.metrics["correct"]
        for group in groups
        for sample in group.scored
        for name, reward in sample.rewards.items()
        if name == ACCOUNT
    ]
    return {"exact_match": fmean(found)} if found else {}


def _is_answer(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
