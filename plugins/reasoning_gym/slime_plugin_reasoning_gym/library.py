"""The package as this plugin uses it: which tasks there are, their levels, problems and scorers.

The package is imported when first needed: it takes a second.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final, final

from slime_hookspecs import ConfigError
from slime_hookspecs.spelling import suggestion

from slime_plugin_reasoning_gym.encoding import encode

#: Problems that one object of the package makes; some make all of them when they are opened.
BLOCK: Final = 32
#: The package's tasks that are no tasks of their own.
_NOT_TASKS: Final = frozenset({"composite"})
#: Tasks whose scorer takes any answer at all for right: served by name alone.
UNSOUND: Final = frozenset({"game_of_life_halting"})


@final
@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """All that a data set of the package is made from, but its seed.

    Attributes:
        task: Name of the task.
        config: Its parameters, as JSON text.
        level: Level of its curriculum, of those that the package itself accepts; ``None`` is the
            parameters alone.
        scope: What a level has: ``inclusive`` or ``upper_bound``.
    """

    task: str
    config: str = "{}"
    level: int | None = None
    scope: str = "inclusive"


def categories() -> dict[str, str]:
    """The category of each task, by name."""
    _, registered, _ = _package()
    return {
        name: kind.__module__.split(".")[1]
        for name, (kind, _) in sorted(registered.items())
        if name not in _NOT_TASKS
    }


def chosen(wanted: list[str]) -> list[str]:
    """Names of tasks for names of tasks, of categories, and ``all``.

    Raises:
        ConfigError: there is no such task or category.
    """
    known = categories()
    found = dict[str, None]()
    for name in wanted:
        own = [
            task
            for task, group in known.items()
            if name == task or (name in (group, "all") and task not in UNSOUND)
        ]
        if not own:
            names = {*known, *known.values(), "all"}
            raise ConfigError(
                f"reasoning_gym has no task or category {name!r}{suggestion(name, names)}"
            )
        found |= dict.fromkeys(own)
    return list(found)


def levels(task: str, config: str, scope: str) -> int:
    """How many levels a task has; 0 without a curriculum.

    Raises:
        ConfigError: the package refuses the parameters.
    """
    settings(Recipe(task, config))
    return len(_accepted(task, config, scope))


def settings(recipe: Recipe) -> Any:
    """The package's own configuration object for a recipe, checked by the package.

    Raises:
        ConfigError: it refuses it, or there is no such level.
    """
    if recipe.level is None:
        return _checked(recipe, None)
    accepted = _accepted(recipe.task, recipe.config, recipe.scope)
    if not 0 <= recipe.level < len(accepted):
        raise ConfigError(f"task {recipe.task!r} has {len(accepted)} levels, no {recipe.level}")
    return _checked(recipe, accepted[recipe.level])


@functools.lru_cache(maxsize=1024)
def _accepted(task: str, config: str, scope: str) -> tuple[int, ...]:
    """The package's levels that the package itself accepts: some of them it does not."""
    _, _, curricula = _package()
    if task not in curricula:
        return ()
    most = max((len(one.levels) for one in curricula[task]().attributes.values()), default=0)
    return tuple(
        level for level in range(most) if _accepts(Recipe(task, config, None, scope), level)
    )


def _accepts(recipe: Recipe, level: int) -> bool:
    try:
        _checked(recipe, level)
    except ConfigError:
        return False
    return True


def _checked(recipe: Recipe, level: int | None) -> Any:
    """The configuration object at one of the package's own levels."""
    _, registered, _ = _package()
    kind = registered[recipe.task][1]
    given = json.loads(recipe.config)
    known = {field.name for field in dataclasses.fields(kind)}
    for key in given:
        if key not in known:
            names = ", ".join(sorted(known - {"seed", "size"}))
            raise ConfigError(
                f"task {recipe.task!r} has no parameter {key!r}{suggestion(key, known)}; "
                f"it has {names}"
            )
    try:
        made = _made(kind, recipe, given, level)
        getattr(made, "validate", lambda: None)()
    except (AssertionError, TypeError, ValueError, KeyError) as error:
        raise ConfigError(
            f"task {recipe.task!r} refuses the parameters {recipe.config}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return made


def _made(kind: Any, recipe: Recipe, given: Mapping[str, Any], level: int | None) -> Any:
    if level is None:
        return kind(**given)
    from reasoning_gym.coaching.base_curriculum import DefaultCurriculumContext, RangeAttributeMode

    _, _, curricula = _package()
    curriculum = curricula[recipe.task]()
    curriculum.set_global_level(level)
    scope = DefaultCurriculumContext(RangeAttributeMode(recipe.scope))
    return curriculum.generate_configuration(dict(given), scope)


def problem(recipe: Recipe, seed: int) -> dict[str, Any]:
    """One problem: ``question``, ``answer`` and ``metadata``, as JSON values."""
    _seed_all(seed)
    entry = _block(recipe, seed // BLOCK)[seed % BLOCK]
    return {key: encode(entry.get(key)) for key in ("question", "answer", "metadata")}


@functools.lru_cache(maxsize=64)
def scorer(recipe: Recipe) -> Callable[[str | None, dict[str, Any]], float]:
    """The task's own ``score_answer(answer, entry)``, with the parameters of the recipe."""
    found: Callable[[str | None, dict[str, Any]], float] = _dataset(recipe, 0, 1).score_answer
    return found


@functools.lru_cache(maxsize=128)
def _block(recipe: Recipe, block: int) -> Any:
    return _dataset(recipe, block * BLOCK, BLOCK)


def _dataset(recipe: Recipe, seed: int, size: int) -> Any:
    _, registered, _ = _package()
    return registered[recipe.task][0](_sized(settings(recipe), seed, size))


def _sized(made: Any, seed: int, size: int) -> Any:
    made.seed, made.size = seed, size
    return made


def _seed_all(seed: int) -> None:
    """Some tasks draw from the global generators as well."""
    import numpy

    random.seed(seed)
    numpy.random.seed(seed % 2**32)


@functools.cache
def _package() -> tuple[Any, dict[str, Any], dict[str, Any]]:
    import reasoning_gym
    from reasoning_gym.factory import CURRICULA, DATASETS

    return reasoning_gym, DATASETS, CURRICULA
