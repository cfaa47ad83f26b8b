"""The data sets of a run: what the options ask for, checked against the package."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, final

from slime_hookspecs import ConfigError, Prompt

from slime_plugin_reasoning_gym.generator import Generator
from slime_plugin_reasoning_gym.library import Recipe
from slime_plugin_reasoning_gym.options import PLACEHOLDER, Options

#: Seeds of problems to train on are below, those of held-out ones are not. NumPy takes 32 bits.
FIRST_HELD_OUT: Final = 2**31


@final
@dataclass(frozen=True, slots=True)
class Dataset:
    """One data set of the run.

    Attributes:
        name: Its name, unique in the run.
        recipe: What it is made from at first.
        weight: How often it is drawn, against the others.
        levels: How many levels of difficulty it has; 0 is none.
    """

    name: str
    recipe: Recipe
    weight: float = 1.0
    levels: int = 0

    def at(self, level: int | None) -> Recipe:
        """What it is made from at a level."""
        return self.recipe if level is None else replace(self.recipe, level=level)


def datasets(options: Options, generator: Generator) -> list[Dataset]:
    """All data sets that the options ask for.

    Raises:
        ConfigError: there are none, or the package does not have or refuses one.
    """
    if not options.tasks and not options.datasets:
        raise ConfigError(
            "reasoning_gym has nothing to train on; name tasks with --reasoning-gym.tasks TASK, "
            "or give tables [plugin.reasoning_gym.datasets.NAME]"
        )
    named = {name: dict[str, Any]() for name in generator.ask("chosen", options.tasks)}
    return [_dataset(*row, options, generator) for row in {**named, **options.datasets}.items()]


def _dataset(name: str, table: dict[str, Any], options: Options, generator: Generator) -> Dataset:
    task = table.get("task", name)
    if generator.ask("chosen", [task]) != [task]:
        raise ConfigError(f"reasoning_gym.datasets.{name}: {task!r} is not the name of one task")
    config = json.dumps(table.get("config", {}), sort_keys=True)
    scope = options.curriculum_scope
    levels = generator.ask("levels", task, config, scope)
    level = table.get("level", 0 if options.curriculum and levels else None)
    for wanted in [] if level is None else [level]:
        if wanted >= levels:
            raise ConfigError(
                f"reasoning_gym.datasets.{name}.level is {wanted}; task {task!r} has "
                + (f"levels 0 to {levels - 1}" if levels else "none")
            )
    recipe = Recipe(task, config, level, scope)
    return Dataset(name, recipe, float(table.get("weight", 1.0)), levels)


def first_seed(name: str, seed: int | str, *, held_out: bool = False) -> int:
    """Seed of the first problem of a data set; ``FIRST_HELD_OUT`` divides the two kinds."""
    digest = hashlib.sha256(f"{name}/{seed}".encode()).digest()
    return int.from_bytes(digest[:4]) // 4 + (FIRST_HELD_OUT if held_out else 0)


def prompt(dataset: Dataset, recipe: Recipe, seed: int, made: dict[str, Any], text: str) -> Prompt:
    """A problem as a prompt; its label has all that the package's scorer needs.

    Args:
        dataset: Where it comes from.
        recipe: What it was made from.
        seed: Of this problem.
        made: The problem.
        text: Template around the question.
    """
    content = text.replace(PLACEHOLDER, made["question"])
    label = {
        "task": recipe.task,
        "answer": made["answer"],
        "metadata": made["metadata"],
        "config": recipe.config,
        "scope": recipe.scope,
        "level": recipe.level,
    }
    return Prompt(
        id="/".join(_path(dataset.name, recipe.level, seed)),
        messages=[{"role": "user", "content": content}],
        label=label,
        metadata={"dataset": dataset.name, "level": recipe.level},
    )


def _path(name: str, level: int | None, seed: int) -> Iterator[str]:
    yield name
    if level is not None:
        yield f"level{level}"
    yield str(seed)
