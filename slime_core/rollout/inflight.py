"""The groups in flight: one task a sample, as many generating at once as the run allows."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, final

from slime_hookspecs import EngineError, Group

from slime_core.rollout.episodes import Client, Episodes
from slime_core.rollout.finishing import unchanged_if_cancelled
from slime_core.rollout.flights import Flight, Place
from slime_core.rollout.outcomes import Outcome
from slime_core.rollout.recorder import Recorder

Finish: TypeAlias = Callable[[Group], Awaitable[Outcome]]
#: Seconds between two calls to abort: a request that was on its way meets the second one.
ABORT_EVERY_S: Final = 1.0
LOG = logging.getLogger("slime.rollout")


@final
class InFlight:
    """Starts groups and hands out their outcomes as they come."""

    def __init__(
        self,
        episodes: Episodes,
        finish: Finish,
        client: Client,
        concurrency: int,
        recorder: Recorder | None = None,
    ) -> None:
        self._episodes = episodes
        self._finish = finish
        self._client = client
        self._concurrency = concurrency
        self._recorder = recorder or Recorder()
        self._generating: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[Flight, Place]] = deque()
        self._flights: dict[int, Flight] = {}
        self._tasks: dict[asyncio.Task[None], Flight] = {}
        self._done: asyncio.Queue[Outcome | BaseException] = asyncio.Queue()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._flights)

    def use(self, episodes: Episodes, finish: Finish) -> None:
        """Run samples that begin from now on with these; those under way go on as they are."""
        self._episodes = episodes
        self._finish = finish

    def flights(self) -> list[Flight]:
        """The groups under way, oldest first."""
        return [flight for _, flight in sorted(self._flights.items())]

    def drop(self, flight: Flight) -> None:
        """End a group; nobody hears of it any more."""
        del self._flights[flight.group.index]
        self._waiting = deque(entry for entry in self._waiting if entry[0] is not flight)
        for task, owner in self._tasks.items():
            if owner is flight:
                # One that is cancelled before it begins runs no line of its own.
                task.add_done_callback(self._ended)
                task.cancel()

    def start(self, flight: Flight) -> None:
        """Begin with all samples of a group, or go on with those that are left."""
        self._flights[flight.group.index] = flight
        if flight.outcome is not None:
            self._done.put_nowait(flight.outcome)
        elif flight.left:
            for place in flight.places:
                if not place.scored:
                    place.times.queue()
                    self._waiting.append((flight, place))
            self._fill()
        else:
            self._spawn(flight)

    async def next(self) -> Outcome:
        """The next group that ends.

        Raises:
            Exception: whatever a hook raised whose failure stops the run.
        """
        while True:
            outcome = await self._done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            if self._flights.pop(outcome.group.index, None) is not None:
                self._recorder.ended(outcome)
                return outcome

    async def stop(self, grace_s: float) -> tuple[list[Flight], int]:
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
            # All may have returned before the servers answered.
            if left <= 0 or not self._tasks:
                break
            await asyncio.wait(self._tasks, timeout=min(left, ABORT_EVERY_S))
        await self._cancel()
        flights = self.flights()
        self._flights.clear()
        return flights, stopped

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
        while len(self._generating) < self._concurrency and self._waiting:
            self._generating.add(self._spawn(*self._waiting.popleft()))

    def _spawn(self, flight: Flight, place: Place | None = None) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(flight, place))
        self._tasks[task] = flight
        return task

    def _ended(self, task: asyncio.Task[None] | None) -> None:
        if task is not None and self._tasks.pop(task, None) is not None:
            self._generated(task)

    def _generated(self, task: asyncio.Task[None] | None) -> None:
        if task in self._generating:
            self._generating.remove(task)
            self._fill()

    async def _guarded(self, flight: Flight, place: Place | None) -> None:
        try:
            await (self._land(flight) if place is None else self._run(flight, place))
        except BaseException as error:
            # Whatever gets here stops the run; `next` raises it where somebody listens.
            if flight.group.index in self._flights:
                self._done.put_nowait(error)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._ended(asyncio.current_task())

    async def _run(self, flight: Flight, place: Place) -> None:
        episodes = self._episodes
        engine = episodes.engine(place.sample)
        self._recorder.begin(place)
        if not place.answer:
            await self._generate(episodes, place, engine)
        if self._stopping:
            return
        # Rewards may wait long, so another sample generates before they begin.
        self._generated(asyncio.current_task())
        await episodes.score(place.answer, engine)
        place.scored = True
        self._recorder.done(place)
        if not flight.left:
            await self._land(flight)

    async def _generate(self, episodes: Episodes, place: Place, engine: Any) -> None:
        try:
            answer = await episodes.generate(place.sample, engine)
        except asyncio.CancelledError:
            place.rewind()
            raise
        finally:
            place.times.end_generation()
        if self._stopping:
            place.interrupt(answer)
        else:
            place.answer = answer

    async def _land(self, flight: Flight) -> None:
        flight.gather()
        with unchanged_if_cancelled(flight.group):
            flight.outcome = await self._finish(flight.group)
        self._done.put_nowait(flight.outcome)
