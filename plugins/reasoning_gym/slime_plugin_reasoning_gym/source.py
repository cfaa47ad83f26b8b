"""The endless stream of problems: a data set is drawn, then its next problem is made."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, final

from slime_hookspecs import DataError, Prompt

from slime_plugin_reasoning_gym.curriculum import Curriculum
from slime_plugin_reasoning_gym.datasets import FIRST_HELD_OUT, Dataset, first_seed, prompt
from slime_plugin_reasoning_gym.generator import Failed, Generator, Job
from slime_plugin_reasoning_gym.options import Options

LOG: Final = logging.getLogger("slime.plugin.reasoning_gym")
#: Problems in a row that may be held-out ones before a data set counts as too small.
MAX_HELD_OUT: Final = 1000


@final
class ProblemSource:
    """Implements ``slime_hookspecs.DataSource``.

    Problems are made when they are asked for, so that it holds none but those made ahead. Which
    data set is drawn at which place depends on the seed alone, and the problem on its place in the
    data set and on the data set's level.

    Args:
        datasets: What to draw from.
        options: Options of the plugin.
        seed: Seed of the order and of the problems.
        generator: Makes problems.
        held_out: Questions never to give, by data set.

    Attributes:
        curriculum: Levels of the data sets.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        options: Options,
        seed: int | str,
        generator: Generator,
        held_out: frozenset[str] = frozenset(),
    ) -> None:
        self.curriculum = Curriculum(datasets, options)
        self._datasets = list(datasets)
        self._options = options
        self._seed = seed
        self._generator = generator
        self._held_out = held_out
        self._drawn = 0
        self._next: Counter[str] = Counter()

    def take(self, count: int) -> list[Prompt]:
        """The next ``count`` prompts.

        Raises:
            DataError: a data set fails again and again, or has none but held-out problems.
        """
        found = [self._one() for _ in range(count)]
        self._generator.make_ahead(self._following(count))
        return found

    def state(self) -> dict[str, Any]:
        """The place in the stream, and the curriculum, as JSON values."""
        return {
            "seed": self._seed,
            "drawn": self._drawn,
            "next": dict(self._next),
            "curriculum": self.curriculum.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly after the last prompt that was taken when ``state`` was called."""
        self.curriculum.restore(state["curriculum"])
        self._seed, self._drawn = state["seed"], state["drawn"]
        self._next = Counter(state["next"])

    def _one(self) -> Prompt:
        dataset = self._at(self._drawn)
        failures = held_out = 0
        while True:
            recipe, seed = self._job(dataset, self._next[dataset.name])
            self._next[dataset.name] += 1
            try:
                made = self._generator.problem((recipe, seed))
            except Failed as error:
                failures += 1
                self._failed(dataset, seed, error, failures)
                continue
            if made["question"] not in self._held_out:
                break
            held_out += 1
            if held_out >= MAX_HELD_OUT:
                raise DataError(_too_small(dataset))
        self._drawn += 1
        return prompt(dataset, recipe, seed, made, self._options.template)

    def _failed(self, dataset: Dataset, seed: int, error: Failed, failures: int) -> None:
        text = f"data set {dataset.name!r} of reasoning_gym: problem {seed} was not made: {error}"
        if failures > self._options.max_failures:
            raise DataError(
                f"{text}\n  nor were the {failures - 1} before it; change its parameters, or leave "
                f"it out; reasoning_gym.timeout_s is {self._options.timeout_s:g}"
            ) from error
        LOG.warning("%s; the next one is taken instead", text)

    def _at(self, place: int) -> Dataset:
        """The data set that is drawn at a place of the stream."""
        rng = random.Random(f"{self._seed}/{place}")
        return rng.choices(self._datasets, [one.weight for one in self._datasets])[0]

    def _job(self, dataset: Dataset, place: int) -> Job:
        """The problem at a place of a data set, at the level that it has now."""
        inside = place % self._options.size if self._options.size else place
        seed = (first_seed(dataset.name, self._seed) + inside) % FIRST_HELD_OUT
        return dataset.at(self.curriculum.levels[dataset.name]), seed

    def _following(self, count: int) -> Iterator[Job]:
        """The next problems, if no level changes and none of them fails."""
        places = self._next.copy()
        for place in range(self._drawn, self._drawn + count):
            dataset = self._at(place)
            yield self._job(dataset, places[dataset.name])
            places[dataset.name] += 1


def _too_small(dataset: Dataset) -> str:
    return (
        f"data set {dataset.name!r} of reasoning_gym: {MAX_HELD_OUT} problems in a row are among "
        f"the held-out ones; it is too small to hold out so many: lower reasoning_gym.eval_size, "
        f"or give it parameters with more problems"
    )
