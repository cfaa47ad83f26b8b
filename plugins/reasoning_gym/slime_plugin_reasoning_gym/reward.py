"""The reward: what the package's own scorer says of the final answer."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable
from typing import Any, Final, NoReturn

from slime_hookspecs import ConfigError, DataError, Reward, Sample

from slime_plugin_reasoning_gym import library
from slime_plugin_reasoning_gym.answers import extract, harmless
from slime_plugin_reasoning_gym.encoding import decode
from slime_plugin_reasoning_gym.library import Recipe
from slime_plugin_reasoning_gym.options import Options

LOG: Final = logging.getLogger("slime.plugin.reasoning_gym")
#: From which score on a problem counts as solved.
SOLVED: Final = 0.99

_FIELDS: Final[dict[str, type | tuple[type, ...]]] = {
    "task": str,
    "answer": (str, type(None)),
    "metadata": dict,
    "config": str,
    "scope": str,
    "level": (int, type(None)),
}


def score(sample: Sample, options: Options) -> Reward:
    """The reward of a sample, from 0 to 1.

    Raises:
        DataError: the label is not one of this plugin's problems.
    """
    label = _label(sample)
    answer = extract(sample.response, options)
    safe = answer is not None and harmless(answer, label["task"], label["answer"])
    value = _score(answer, label, sample) if safe else 0.0
    solved = float(value >= SOLVED)
    metrics = {"score": value, "solved": solved, "answered": float(answer is not None)}
    earned = value if options.partial_credit else solved
    share = options.format_reward
    return Reward((1.0 - share) * earned + share * metrics["answered"], metrics)


def _score(answer: str | None, label: dict[str, Any], sample: Sample) -> float:
    entry = {"answer": label["answer"], "metadata": decode(label["metadata"])}
    entry["question"] = sample.prompt.messages[-1].get("content", "")
    recipe = Recipe(label["task"], label["config"], label["level"], label["scope"])
    try:
        scorer = library.scorer(recipe)
    except (ConfigError, KeyError) as error:
        _refuse(sample, f"its label names no task of reasoning_gym: {error}", error)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _asked(scorer, answer, entry, sample)


def _asked(
    scorer: Callable[[str | None, dict[str, Any]], float],
    answer: str | None,
    entry: dict[str, Any],
    sample: Sample,
) -> float:
    try:
        value = float(scorer(answer, entry))
    except Exception as error:
        # Not every scorer bears every answer. One that does not bear the right one is broken.
        _check(scorer, entry, sample, error)
        return 0.0
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0


def _check(scorer: Any, entry: dict[str, Any], sample: Sample, first: Exception) -> None:
    try:
        scorer(entry["answer"], entry)
    except Exception as error:
        _refuse(sample, f"the package's scorer fails on it: {type(error).__name__}: {error}", first)


def _label(sample: Sample) -> dict[str, Any]:
    """The label; prompts may come from another plugin's data source."""
    label = sample.prompt.label
    if not isinstance(label, dict):
        _refuse(sample, f"its label is {label!r:.100}, and no problem of reasoning_gym")
    for name, kind in _FIELDS.items():
        if name not in label or not isinstance(label[name], kind):
            _refuse(sample, f"its label has {name} {label.get(name)!r:.100}; it is not its own")
    return label


def _refuse(sample: Sample, why: str, cause: Exception | None = None) -> NoReturn:
    raise DataError(f"prompt {sample.prompt.id}: {why}") from cause
