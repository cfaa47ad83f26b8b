"""The run's data sets, opened once a process: the source and the held-out sets share them."""

from __future__ import annotations

import functools
import json
import weakref
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from slime_hookspecs import Group, RunInfo

from slime_plugin_reasoning_gym.datasets import Dataset, datasets
from slime_plugin_reasoning_gym.evaluation import HeldOut, held_out
from slime_plugin_reasoning_gym.generator import Generator
from slime_plugin_reasoning_gym.options import Options
from slime_plugin_reasoning_gym.source import ProblemSource

#: The source that serves each run of this process, so that observers find its curriculum.
_sources: Final[weakref.WeakValueDictionary[RunInfo, ProblemSource]] = weakref.WeakValueDictionary()

_generators: Final[weakref.WeakValueDictionary[float, Generator]] = weakref.WeakValueDictionary()


def open_source(options: Options, run: RunInfo) -> ProblemSource:
    """The run's source of problems.

    Raises:
        ConfigError: the options name what the package does not have.
        DataError: held-out problems could not be made.
    """
    source = private_source(options, run.seed if options.seed is None else options.seed)
    _sources[run] = source
    return source


def private_source(options: Options, seed: int | str) -> ProblemSource:
    """A source of problems that no run has."""
    maker = generator(options.timeout_s)
    found, sets = _opened(_key(options))
    never = frozenset(question for problems in sets.values() for _, question in problems)
    return ProblemSource(found, options, seed, maker, never)


def open_held_out(options: Options) -> HeldOut:
    """The held-out problems."""
    return _opened(_key(options))[1]


def see(group: Group, run: RunInfo) -> None:
    """Tell the curriculum of the run's source of a group that was scored."""
    source = _sources.get(run)
    if source is not None:
        source.curriculum.see(group)


def generator(timeout_s: float) -> Generator:
    """The process that makes problems; it ends when nothing refers to it any more."""
    found = _generators.get(timeout_s)
    if found is None:
        found = _generators[timeout_s] = Generator(timeout_s)
    return found


def _key(options: Options) -> str:
    return json.dumps(asdict(options), sort_keys=True)


@functools.lru_cache(maxsize=4)
def _opened(key: str) -> tuple[Sequence[Dataset], HeldOut]:
    options = Options(**json.loads(key))
    maker = generator(options.timeout_s)
    found = datasets(options, maker)
    return found, held_out(found, options, maker)
