"""The groups in flight: one task a sample, as many generating at once as the run allows."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from slime_hookspecs import EngineError, Group, Sample

from slime_core.rollout.episodes import Client, Episodes
from slime_core.rollout.outcomes import Outcome

Finish: TypeAlias = Callable[[Group], Awaitable[Outcome]]
#: Seconds between two calls to abort: a request that was on its way meets the second one.
ABORT_EVERY_S: Final = 1.0
LOG = logging.getLogger("slime.rollout")


@final
@dataclass(slots=True, eq=False)
class _Flight:
    """A group under way: answers by place, so that samples keep their order."""

    group: Group
    answers: list[list[Sample]]
    left: int


@final
class InFlight:
    """Starts groups and hands out their outcomes as they come."""

    def __init__(
        self, episodes: Episodes, finish: Finish, client: Client, concurrency: int
    ) -> None:
        self._episodes = episodes
        self._finish = finish
        self._client = client
        self._free = concurrency
        self._waiting: deque[tuple[_Flight, int]] = deque()
        self._flights: dict[int, _Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: asyncio.Queue[Outcome | BaseException] = asyncio.Queue()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._flights)

    def start(self, group: Group) -> None:
        """Begin with all samples of a group."""
        flight = _Flight(group, [[] for _ in group.samples], len(group.samples))
        self._flights[group.index] = flight
        self._waiting.extend((flight, place) for place in range(flight.left))
        self._fill()

    async def next(self) -> Outcome:
        """The next group that ends.

        Raises:
            Exception: whatever a hook raised whose failure stops the run.
        """
        outcome = await self._done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        del self._flights[outcome.group.index]
        return outcome

    async def stop(self, grace_s: float) -> tuple[list[Group], int]:
        """End all that is under way.

        Args:
            grace_s: Seconds in which samples may return by themselves before they are cancelled.

        Returns:
            The groups whose outcome nobody took, oldest first, and how many samples were stopped.
        """
        self._stopping = True
        self._waiting.clear()
        stopped = sum(flight.left for flight in self._flights.values())
        deadline = asyncio.get_running_loop().time() + grace_s
        while stopped and self._tasks and await self._abort():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await asyncio.wait(self._tasks, timeout=min(left, ABORT_EVERY_S))
        await self._cancel()
        groups = [flight.group for _, flight in sorted(self._flights.items())]
        self._flights.clear()
        return groups, stopped

    async def _abort(self) -> bool:
        try:
            await self._client.abort_all()
        except EngineError as error:
            LOG.warning("servers could not be told to abort, so requests are cancelled: %s", error)
            return False
        return True

    async def _cancel(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def _fill(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            self._tasks.add(asyncio.create_task(self._run(*self._waiting.popleft())))

    async def _run(self, flight: _Flight, place: int) -> None:
        try:
            samples, engine = await self._episodes.generate(flight.group.samples[place])
            if self._stopping:
                return
            # Rewards may wait long, so another sample generates before they begin.
            self._free += 1
            self._fill()
            await self._episodes.score(samples, engine)
            flight.answers[place] = samples
            flight.left -= 1
            if not flight.left:
                await self._land(flight)
        except BaseException as error:
            # Whatever gets here stops the run; `next` raises it where somebody listens.
            self._done.put_nowait(error)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._tasks.discard(asyncio.current_task())

    async def _land(self, flight: _Flight) -> None:
        group = flight.group
        group.samples = [sample for answer in flight.answers for sample in answer]
        self._done.put_nowait(await self._finish(group))
