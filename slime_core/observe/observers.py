"""Observers and trackers of the driver: plugins that watch a run and cannot change it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, final

from slime_hookspecs.context import RunInfo
from slime_hookspecs.errors import UserError
from slime_hookspecs.observe import Tracker

_log = logging.getLogger("slime.observe")

T = TypeVar("T")


class Hook(Protocol):
    """What is needed of a ``BoundHook``."""

    @property
    def plugin(self) -> str:
        """Entry name of the plugin."""

    @property
    def options(self) -> Any:
        """The plugin's options."""

    @property
    def is_async(self) -> bool:
        """Whether ``call`` returns a coroutine."""

    def call(self, *arguments: Any) -> Any:
        """Call with all arguments of the spec, in its order."""


class Hooks(Protocol):
    """What is needed of a ``Bound``."""

    def all(self, hook: str) -> Sequence[Any]:
        """Every implementation of a hook, in plan order."""


@final
class Failures:
    """Counts what plugins raise, and warns of each plugin and hook once."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._warned: set[tuple[str, str]] = set()

    def guard(self, plugin: str, hook: str, call: Callable[[], T]) -> T | None:
        """The call's result, or ``None`` where it raised."""
        try:
            return call()
        except Exception as error:
            self._counts[plugin] += 1
            if (plugin, hook) not in self._warned:
                self._warned.add((plugin, hook))
                _log.warning(
                    "plugin %s, hook %s: %s: %s. The run goes on; counted in observer_errors/%s.",
                    *(plugin, hook, type(error).__name__, error, plugin),
                )
                _log.debug("traceback of the above", exc_info=error)
            return None

    def metrics(self) -> dict[str, float]:
        """``observer_errors/<plugin>`` since the start, for each plugin that failed."""
        return {f"observer_errors/{plugin}": float(n) for plugin, n in self._counts.items()}


@final
class Observers:
    """Calls the ``slime_on_*`` hooks of the driver, each apart from the others."""

    def __init__(self, bound: Hooks, run: RunInfo, failures: Failures | None = None) -> None:
        self._bound = bound
        self._run = run
        self._failures = failures or Failures()

    def notify(self, hook: str, event: Any) -> None:
        """Tell every observer of an event, in plan order. Waits for asynchronous ones.

        Not to be called where an event loop runs.
        """
        for observer in self._bound.all(hook):
            self._failures.guard(observer.plugin, hook, partial(_call, observer, event, self._run))

    def metrics(self) -> dict[str, float]:
        """``observer_errors/<plugin>`` since the start, for each plugin that failed."""
        return self._failures.metrics()


@final
class Trackers:
    """All trackers of a run, each apart from the others."""

    def __init__(self, trackers: Sequence[tuple[str, Tracker]], failures: Failures) -> None:
        self._trackers = tuple(trackers)
        self._failures = failures

    @classmethod
    def open(cls, bound: Hooks, run: RunInfo, failures: Failures | None = None) -> Trackers:
        """Open every plugin's tracker.

        Raises:
            UserError: a tracker cannot work here, e.g. its package is missing. Any other exception
                costs that tracker and no more.
        """
        failures = failures or Failures()
        trackers = []
        for hook in bound.all("slime_tracker"):
            tracker = _open(hook, run, failures)
            if tracker is not None:
                trackers.append((hook.plugin, tracker))
        return cls(trackers, failures)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Send the metrics of a step to every tracker."""
        for plugin, tracker in self._trackers:
            self._failures.guard(plugin, "Tracker.log", partial(tracker.log, step, metrics))

    def close(self) -> None:
        """Close every tracker."""
        for plugin, tracker in self._trackers:
            self._failures.guard(plugin, "Tracker.close", tracker.close)
        self._trackers = ()

    def metrics(self) -> dict[str, float]:
        """``observer_errors/<plugin>`` since the start, for each plugin that failed."""
        return self._failures.metrics()


def _open(hook: Hook, run: RunInfo, failures: Failures) -> Tracker | None:
    def call() -> Tracker | UserError:
        try:
            tracker: Tracker = hook.call(hook.options, run)
        except UserError as error:
            return error
        return tracker

    opened = failures.guard(hook.plugin, "slime_tracker", call)
    if isinstance(opened, UserError):
        raise opened
    return opened


def _call(observer: Hook, event: Any, run: RunInfo) -> None:
    result = observer.call(event, observer.options, run)
    if observer.is_async:
        asyncio.run(_finish(result))


async def _finish(awaitable: Any) -> None:
    await awaitable
