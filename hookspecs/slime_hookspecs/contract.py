"""What each hook promises, as data: how many may implement it, where it runs, what it may cost."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, final

import pluggy

PROJECT: Final = "slime"
ENTRY_POINT_GROUP: Final = "slime.plugins"
API_VERSION: Final = "0.1"
"""Version of the contract, ``major.minor``. A host serves this minor version and the one before."""

F = TypeVar("F", bound=Callable[..., Any])

hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook with the same name."""

_hookspec: Final = pluggy.HookspecMarker(PROJECT)


class Cardinality(enum.Enum):
    """How many plugins may implement a hook in one run."""

    PER_PLUGIN = "one a plugin"  #: each plugin answers for itself
    EXACTLY_ONE = "exactly one"  #: a role; ``--use ROLE=PLUGIN`` picks where several offer it
    WEIGHTED = "named, weighted set"  #: all, summed with ``--reward-weight PLUGIN=W``
    CHAIN = "ordered chain"  #: all, in plan order
    ALL = "all"  #: all, independent of each other


class Colour(enum.Enum):
    """Whether an implementation is a coroutine function."""

    SYNC = "sync"
    ASYNC = "async"
    EITHER = "async or sync"


class Process(enum.Enum):
    """Where a hook is called."""

    DRIVER = "driver"
    ROLLOUT = "rollout"
    TRAINER = "trainer"
    ANY = "any"  #: each observer's docstring says which


class OnFailure(enum.Enum):
    """What an exception costs."""

    STOP = "stop"  #: the run
    SAMPLE = "sample"  #: the sample: masked, its error kept and counted
    GROUP = "group"  #: the group likewise
    COUNT = "count and go on"  #: nothing but a metric and one warning


@final
@dataclass(frozen=True, slots=True)
class HookInfo:
    """A hook's promises.

    Attributes:
        name: Name of the hook.
        role: What ``--use ROLE=PLUGIN`` calls it, for hooks that exactly one plugin serves.
        parameters: Names that an implementation may take, in order; it may take any subset.
        cardinality: How many plugins may implement it.
        colour: Whether implementations are coroutine functions.
        process: Where it is called.
        on_failure: What an exception costs.
        since: Contract version that brought it.
    """

    name: str
    role: str
    parameters: tuple[str, ...]
    cardinality: Cardinality
    colour: Colour
    process: Process
    on_failure: OnFailure
    since: str


HOOKS: Final[dict[str, HookInfo]] = {}
"""Every hook by name, in the order of the documentation. Filled by the specs below."""


def hook(
    cardinality: Cardinality,
    colour: Colour,
    process: Process,
    on_failure: OnFailure,
    since: str = "0.1",
) -> Callable[[F], F]:
    """Declares a method of the spec class as a hook, and records its promises in ``HOOKS``."""

    def declare(spec: F) -> F:
        name = spec.__name__
        parameters = tuple(p for p in inspect.signature(spec).parameters if p != "self")
        role = name.removeprefix("slime_")
        HOOKS[name] = HookInfo(
            name, role, parameters, cardinality, colour, process, on_failure, since
        )
        return _hookspec(spec)

    return declare
