"""A run's life as observers and trackers see it, from the first event to the last."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias, final

from slime_hookspecs.testing import samples
from slime_hookspecs.testing.subject import Subject

#: A tracker's steps: -1 is what was measured before the first, and later rows have other names.
ROWS: Final[tuple[tuple[int, Mapping[str, float]], ...]] = (
    (-1, {"eval/held_out/mean": 0.1}),
    (0, {"reward/mean": 0.25, "train/loss": -1e-9}),
    (1, {"reward/mean": math.nan, "train/loss": math.inf, "time/step_s": 2.0}),
    (2, {}),
)


@final
@dataclass(frozen=True, slots=True)
class Told:
    """One call of a life.

    Attributes:
        hook: The hook, or a method of the tracker.
        what: What it is told.
        call: Calls it.
    """

    hook: str
    what: Any
    call: Callable[[], Any]


Watch: TypeAlias = Callable[[Told], AbstractContextManager[None]]
"""What stands around each call."""


def live(subject: Subject, watch: Watch) -> None:
    """Tell all of a run, as its processes do: the rollout process opens no tracker."""
    asyncio.run(_in_rollout(subject, watch))
    opened = _open(subject)
    for told in (*_logged(opened), *_in_driver(subject)):
        with watch(told):
            answer = told.call()
            if inspect.isawaitable(answer):
                asyncio.run(_wait(answer))
    if opened is not None:
        with contextlib.suppress(Exception):
            opened.close()


async def _in_rollout(subject: Subject, watch: Watch) -> None:
    for told in _told_in_rollout(subject):
        with watch(told):
            answer = told.call()
            if inspect.isawaitable(answer):
                await answer


def _told_in_rollout(subject: Subject) -> Iterator[Told]:
    given = subject.prompts[0]
    if "slime_on_group" in subject.hooks:
        call = subject.bound("slime_on_group")
        for group, verdict in samples.judged_groups(given):
            yield Told("slime_on_group", group, partial(call, group, verdict, subject.context()))
    if "slime_on_rollout" in subject.hooks:
        call = subject.bound("slime_on_rollout")
        for rollout in samples.rollouts(given):
            context = subject.context(step=rollout.step)
            yield Told("slime_on_rollout", rollout, partial(call, rollout, context))


def _in_driver(subject: Subject) -> Iterator[Told]:
    for hook, event in samples.driver_events(subject.run.directory):
        if hook in subject.hooks:
            call = partial(subject.bound(hook), event, subject.options, subject.run)
            yield Told(hook, event, call)


def _logged(opened: Any) -> Iterator[Told]:
    for step, metrics in ROWS if opened is not None else ():
        row = dict(metrics)
        yield Told("the tracker", row, partial(_log, opened, step, row))


def _log(opened: Any, step: int, row: dict[str, float]) -> None:
    opened.log(step, row)


def _open(subject: Subject) -> Any:
    """The tracker, or ``None`` where there is none or ``observe.tracker`` says what is wrong."""
    if "slime_tracker" in subject.hooks:
        with contextlib.suppress(Exception):
            return subject.call("slime_tracker", subject.options, subject.run)
    return None


@contextlib.contextmanager
def lenient(_: Told) -> Iterator[None]:
    """Lets pass what a call raises; another check reports it."""
    with contextlib.suppress(Exception):
        yield


async def _wait(answer: Any) -> Any:
    return await answer
