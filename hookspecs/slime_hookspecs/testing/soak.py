"""A thousand episodes in one process, and what they leave behind: memory, descriptors, tasks."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import tracemalloc
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, final

from slime_hookspecs.records import Group, Sample
from slime_hookspecs.testing import samples
from slime_hookspecs.testing.checks import NotApplicable, _episodes
from slime_hookspecs.testing.kit.clock import VirtualClock, children
from slime_hookspecs.testing.subject import Subject

EPISODES: Final = 1000
#: Fewer where they are slow: at least so many, and not much longer than so long.
AT_LEAST: Final = 60
BUDGET_S: Final = 10.0
#: Episodes side by side, and in the sample that tells how slow all will be.
TOGETHER: Final = 10
#: Part of the episodes in which caches may fill, before anything is measured.
WARM: Final = 0.4


@final
@dataclass(frozen=True, slots=True)
class Mark:
    """What a process holds at one moment."""

    bytes: int
    descriptors: int
    running: int

    @classmethod
    def now(cls) -> Mark:
        """Measured in a running event loop, when what nobody holds is gone."""
        gc.collect()
        running = len(asyncio.all_tasks()) + threading.active_count() + len(children())
        return cls(tracemalloc.get_traced_memory()[0], _descriptors(), running)


@final
@dataclass(frozen=True, slots=True)
class Soaked:
    """What became of the episodes.

    Attributes:
        episodes: How many were measured, after the others had filled caches.
        error: What one of them raised, or nothing.
        bytes: Memory that they left, more than was there before them.
        descriptors: The same of open files and sockets.
        running: The same of tasks, threads and processes.
        mistake: What tells the mistake behind ``error`` from others, as ``raised.mistake`` does.
    """

    episodes: int
    error: str
    bytes: int
    descriptors: int
    running: int
    mistake: str = ""


class Failure(NamedTuple):
    """What an episode raised: in words, and which mistake it is."""

    told: str
    mistake: str


def soak(subject: Subject, _: Any = None) -> dict[str, Any]:
    """``Soaked`` as JSON values, found out in this process."""
    _episodes.open_data(subject)
    tracemalloc.start()
    try:
        return asdict(VirtualClock().run(_soak(subject)))
    finally:
        tracemalloc.stop()


async def _soak(subject: Subject) -> Soaked:
    failed = await _many(subject, 0, TOGETHER)  # The first ones import what they need.
    start = time.monotonic()
    failed = failed or await _many(subject, TOGETHER, 2 * TOGETHER)
    each = (time.monotonic() - start) / TOGETHER
    total = max(AT_LEAST, min(EPISODES, int(BUDGET_S / each)))
    warm = int(total * WARM)
    failed = failed or await _many(subject, 2 * TOGETHER, warm)
    before = Mark.now()
    failed = failed or await _many(subject, warm, total)
    after = Mark.now()
    return Soaked(
        total - warm,
        failed.told if failed else "",
        after.bytes - before.bytes,
        after.descriptors - before.descriptors,
        after.running - before.running,
        failed.mistake if failed else "",
    )


async def _many(subject: Subject, first: int, last: int) -> Failure | None:
    """Run episodes of these numbers; what one raised, or nothing."""
    for start in range(first, last, TOGETHER):
        numbers = range(start, min(start + TOGETHER, last))
        found = await asyncio.gather(*(_one(subject, n) for n in numbers), return_exceptions=True)
        for number, outcome in zip(numbers, found, strict=True):
            if isinstance(outcome, NotApplicable):
                raise outcome
            if isinstance(outcome, BaseException):
                what = f"episode {number} raised {subject.told(outcome)}"
                return Failure(what, subject.mistake(outcome))
    return None


async def _one(subject: Subject, number: int) -> None:
    """Generate, where the plugin does, and reward."""
    prompt = subject.prompts[number % len(subject.prompts)]
    engine = _episodes.engine(subject)
    if "slime_generate" in subject.hooks:
        given = _episodes.sample(prompt, number)
        finished = _episodes.samples_of(await _episodes.attempt(subject, given, engine))
    else:
        finished = [samples.sample(prompt, str(prompt.label), number, number)]
    for one in finished:
        one.response = one.response or engine.decode(one.trace.response_tokens)
        await score(subject, "slime_reward", one)
    await score(subject, "slime_group_reward", Group(number, prompt, finished))


async def score(subject: Subject, hook: str, given: Sample | Group) -> Any:
    """What a reward hook answers, if the plugin has it."""
    if hook not in subject.hooks:
        return None
    answer = subject.bound(hook)(given, subject.context())
    return await answer if subject.is_async(hook) else answer


def _descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.exists() else 0  # noqa: PTH208
