"""Held-out problems: from seeds that training never uses, and never asked in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, Final, TypeAlias

from slime_hookspecs import DataError, EvalSet, Group, Prompt, Sample
from slime_hookspecs.datasets import greedy

from slime_plugin_reasoning_gym.datasets import Dataset, first_seed, prompt
from slime_plugin_reasoning_gym.generator import Failed, Generator
from slime_plugin_reasoning_gym.library import Recipe
from slime_plugin_reasoning_gym.options import Options

#: Problems that are made for each that is wanted, before a data set counts as small.
TRIES: Final = 4

HeldOut: TypeAlias = Mapping[str, Sequence[tuple[Prompt, str]]]
"""Prompts with their questions, by name of the set."""


def held_out(datasets: Sequence[Dataset], options: Options, generator: Generator) -> HeldOut:
    """The held-out problems of all sets; sets without any are left out.

    Raises:
        DataError: a data set fails again and again, or has too few different problems.
    """
    wanted = [(one, level) for one in datasets for level in _levels(one, options)]
    made = {
        _name(one, level): _problems(one, level, options, generator)
        for one, level in (wanted if options.eval_size else ())
    }
    return {name: problems for name, problems in made.items() if problems}


def eval_sets(sets: HeldOut) -> list[EvalSet]:
    """One greedy set for each data set and level."""
    return [
        greedy(name, [prompt for prompt, _ in problems], measured)
        for name, problems in sets.items()
    ]


def measured(groups: Sequence[Group]) -> Mapping[str, float]:
    """Means of the package's scores, and of problems that were solved whole."""
    parts = [part for group in groups for one in group.scored for part in _parts(one)]
    if not parts:
        return {}
    names = {"score": "score", "accuracy": "solved"}
    return {name: fmean(part[key] for part in parts) for name, key in names.items()}


def _parts(sample: Sample) -> list[dict[str, float]]:
    return [one.metrics for one in sample.rewards.values() if "solved" in one.metrics]


def _levels(dataset: Dataset, options: Options) -> list[int | None]:
    own = [level for level in options.eval_levels if level < dataset.levels]
    return [*own] if own else [dataset.recipe.level]


def _name(dataset: Dataset, level: int | None) -> str:
    return dataset.name if level is None else f"{dataset.name}_level{level}"


def _problems(
    dataset: Dataset, level: int | None, options: Options, generator: Generator
) -> list[tuple[Prompt, str]]:
    found = dict[str, Prompt]()
    for recipe, seed, made in _made(dataset, level, options, generator):
        given = prompt(dataset, recipe, seed, made, options.template)
        found.setdefault(made["question"], given)
        if len(found) == options.eval_size:
            return [(given, question) for question, given in found.items()]
    # There are few different problems, and some must be left to train on.
    return [(given, question) for question, given in list(found.items())[: len(found) // 2]]


def _made(
    dataset: Dataset, level: int | None, options: Options, generator: Generator
) -> Iterator[tuple[Recipe, int, dict[str, Any]]]:
    recipe, start = dataset.at(level), first_seed(dataset.name, options.eval_seed, held_out=True)
    failures = 0
    for seed in range(start, start + TRIES * options.eval_size):
        try:
            made = generator.problem((recipe, seed))
        except Failed as error:
            failures += 1
            if failures > options.max_failures:
                raise DataError(
                    f"data set {dataset.name!r} of reasoning_gym: {failures} held-out problems "
                    f"in a row were not made; the last: {error}"
                ) from error
            continue
        failures = 0
        yield recipe, seed, made
