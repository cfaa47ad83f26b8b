"""Watches how long the event loop is kept from its work, and whose code keeps it.

The loop itself says every 50 ms that it turns. A thread listens, and where nothing was said for
longer than the limit it looks at what the loop's thread is at: a look from outside, so that hooks
are called as they are and pay nothing for it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple, final

from slime_hookspecs.places import own_folder

from slime_core.plugins import BoundHook

EVERY_S: Final = 0.05
SETTING: Final = "--rollout-loop-lag-limit-s"
LOG = logging.getLogger("slime.rollout")


class Culprit(NamedTuple):
    """Whose code was running. ``hook`` is a function's name where no hook led to it."""

    plugin: str
    hook: str


@final
class Suspects:
    """Recognises the code of plugins on a stack. Warns once of each hook, over a whole run."""

    def __init__(self, hooks: Iterable[BoundHook]) -> None:
        self._hooks: dict[CodeType, Culprit] = {}
        self._own: dict[Path, str] = {}
        self._warned: set[Culprit | None] = set()
        for hook in hooks:
            code = code_of(hook.function)
            if code is not None:
                self._hooks.setdefault(code, Culprit(hook.plugin, hook.hook))
                own = own_folder(hook.function) or Path(code.co_filename)
                self._own.setdefault(own, hook.plugin)

    def find(self, frame: FrameType | None) -> tuple[Culprit | None, str]:
        """The innermost hook on a stack, else the innermost function of a plugin's file; where.

        The place is the innermost line in a plugin's own package, where there is one.
        """
        innermost = _place(frame)
        other: Culprit | None = None
        place = ""
        for one in _outwards(frame):
            plugin = self._owner(one.f_code.co_filename)
            if plugin and not place:
                place, other = _place(one), Culprit(plugin, one.f_code.co_qualname)
            if found := self._hooks.get(one.f_code):
                return found, place or innermost
        return other, place or innermost

    def _owner(self, filename: str) -> str | None:
        file = Path(filename)
        return next((self._own[one] for one in (file, *file.parents) if one in self._own), None)

    def warn(self, culprit: Culprit | None, place: str, limit_s: float) -> None:
        """Say once who blocks the loop."""
        if culprit in self._warned:
            return
        self._warned.add(culprit)
        who = f"plugin {culprit.plugin}, {culprit.hook}," if culprit else "code of no plugin"
        LOG.warning(
            "%s kept the event loop from all other samples for more than %g s (%s), at %s: await "
            "what takes long, or hand it to asyncio.to_thread; this is said once, and "
            "rollout/loop_blocked counts on",
            who,
            limit_s,
            SETTING,
            place,
        )


@final
@dataclass(slots=True)
class Lag:
    """How the loop was kept.

    Attributes:
        max_s: The longest that a timer came late, in seconds.
        blocked: How often the limit was passed, by who passed it.
        beat: When the loop last said that it turns.
    """

    max_s: float = 0.0
    blocked: Counter[Culprit | None] = field(default_factory=Counter)
    beat: float = field(default_factory=time.monotonic)

    def turned(self) -> None:
        """The loop says that it turns."""
        now = time.monotonic()
        self.max_s = max(self.max_s, now - self.beat - EVERY_S)
        self.beat = now

    def metrics(self) -> dict[str, float]:
        """As ``rollout/loop_...``."""
        found = {
            "rollout/loop_lag_max_s": self.max_s,
            "rollout/loop_blocked": float(self.blocked.total()),
        }
        for culprit, count in self.blocked.items():
            if culprit is not None:
                name = f"rollout/loop_blocked/{culprit.plugin}"
                found[name] = found.get(name, 0.0) + count
        return found


@asynccontextmanager
async def watched_loop(suspects: Suspects, limit_s: float) -> AsyncIterator[Lag]:
    """Measure the loop's lag while the block runs, and name who keeps it for ``limit_s``."""
    lag, stop = Lag(), threading.Event()
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def turn() -> None:
        nonlocal timer
        lag.turned()
        timer = loop.call_later(EVERY_S, turn)

    timer = loop.call_later(EVERY_S, turn)
    arguments = (lag, suspects, limit_s, threading.get_ident(), stop)
    thread = threading.Thread(target=_watch, args=arguments, name="slime-loop-watch", daemon=True)
    thread.start()
    try:
        yield lag
    finally:
        timer.cancel()
        lag.turned()
        stop.set()
        thread.join()


def code_of(function: Callable[..., Any]) -> CodeType | None:
    """The code that runs when a function is called, through partials and decorators."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    if not hasattr(function, "__code__"):
        function = type(function).__call__
    code: CodeType | None = getattr(function, "__code__", None)
    return code


def _watch(
    lag: Lag, suspects: Suspects, limit_s: float, loop_thread: int, stop: threading.Event
) -> None:
    every_s = min(max(limit_s / 8, 0.005), EVERY_S)
    told: float | None = None
    looked = time.monotonic()
    while not stop.wait(every_s):
        before, looked = looked, time.monotonic()
        beat = lag.beat
        # Who was kept from looking for so long that anything may have happened blames nobody.
        awake = looked - before < every_s + limit_s / 2
        if told == beat or looked - beat <= limit_s + EVERY_S or not awake:
            continue
        told = beat
        culprit, place = suspects.find(_frames().get(loop_thread))
        lag.blocked[culprit] += 1
        suspects.warn(culprit, place, limit_s)


def _frames() -> Mapping[int, FrameType]:
    return sys._current_frames()


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _place(frame: FrameType | None) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "an unknown place"
