"""Continuous generation: groups are made without a pause, and each step takes what is done.

How far generation may run ahead of the trainer is bounded twice, in weight versions:

1. *Back-pressure.* Groups under way, done and in training are never more than
   ``max_staleness + 1`` steps train on. As long as none overtakes another, all are young enough.
2. *At the door.* A group whose oldest token is too old all the same, because others overtook it, is
   dropped as ``filtered/stale``, also while it is under way: no weights make its old tokens young
   again, and to mask them would be to teach the ends of long answers only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias, final

from slime_hookspecs import Group, Sample

from slime_core.rollout.accounting import Account, Limits
from slime_core.rollout.contexts import Scene
from slime_core.rollout.drawing import Drawing
from slime_core.rollout.flights import Flight
from slime_core.rollout.inflight import InFlight
from slime_core.rollout.outcomes import Outcome
from slime_core.rollout.staleness import STALE, oldest_token, trainer_version
from slime_core.rollout.tally import Tally

Launch: TypeAlias = Callable[[Scene, InFlight | None], InFlight]
"""Where groups fly: the same place as before under a new scene, or a new one."""


@final
@dataclass(frozen=True, slots=True)
class Batch:
    """What a step took.

    Attributes:
        groups: In the order in which their prompts were drawn.
        account: What became of prompts since the step before took its own.
        tally: Sums over the groups that ended.
        seconds: How long that was.
    """

    groups: list[Group]
    account: Account
    tally: Tally
    seconds: float


@final
class Stream:
    """Generates from the first ``take`` on, until it is paused.

    Args:
        drawing: Where prompts come from; keeps partial groups.
        limits: What a step aims at and may lose.
        max_staleness: Weight versions that a token may be older than the weights it changes.
        launch: Makes the place where groups fly.
        account: The books to begin with.
    """

    def __init__(
        self,
        drawing: Drawing,
        limits: Limits,
        max_staleness: int,
        launch: Launch,
        account: Account,
    ) -> None:
        self._drawing = drawing
        self._limits = limits
        self._max_staleness = max_staleness
        self._launch = launch
        self._inflight: InFlight | None = None
        self._ready: dict[int, Group] = {}
        self._in_training = 0
        self._oldest = 0
        self._data_ended = False
        self._changed = asyncio.Event()
        self._failure: BaseException | None = None
        self._settling: asyncio.Task[None] | None = None
        self._open_books(account)

    async def take(self, scene: Scene) -> Batch:
        """The oldest groups that are done, as many as a step trains on; fewer where the data ends.

        The groups taken before count as trained on. Generation goes on meanwhile and afterwards.

        Raises:
            TooManyFailures: more samples failed than the run allows.
            RunError: filters drop nearly everything.
        """
        self._in_training = 0
        self._oldest = trainer_version(scene) - self._max_staleness
        inflight = self._inflight = self._launch(scene, self._inflight)
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle_all(inflight))
        self._drop_stale(inflight)
        self._start_more(inflight)
        while len(self._ready) < self._limits.target and len(inflight):
            self._raise_failure()
            self._changed.clear()
            await self._changed.wait()
        self._raise_failure()
        return self._close_books(scene, inflight)

    async def pause(self, grace_s: float) -> dict[str, int]:
        """End what is under way; all that was done goes to the buffer, also groups that are ready.

        Args:
            grace_s: Seconds in which samples may return by themselves before they are cancelled.

        Returns:
            The books since the last step.
        """
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)
            self._settling = self._failure = None
        if self._inflight is not None:
            flights, stopped = await self._inflight.stop(grace_s)
            flights += map(Flight.landed, self._ready.values())
            self._account.gave_back(len(flights), stopped, self._drawing.give_back(flights))
            self._ready.clear()
            self._inflight = None
            self._data_ended = False
        return self._account.counts

    async def _settle_all(self, inflight: InFlight) -> None:
        try:
            while True:
                self._settle(await inflight.next())
                self._start_more(inflight)
                self._changed.set()
        except BaseException as error:
            # Also of a task that was cancelled from elsewhere: nobody is to wait for it for ever.
            self._failure = error
            self._changed.set()
            if isinstance(error, asyncio.CancelledError):
                raise

    def _settle(self, outcome: Outcome) -> None:
        group = outcome.group
        if outcome.fate == "kept" and self._is_stale(group.trained):
            outcome = Outcome(group, "filtered", STALE)
        self._account.saw(group)
        if outcome.fate == "kept":
            self._ready[group.index] = group
        else:
            self._book(outcome)
        self._account.check()

    def _drop_stale(self, inflight: InFlight) -> None:
        for flight in inflight.flights():
            samples = [sample for place in flight.places for sample in place.samples]
            if self._is_stale(samples):
                inflight.drop(flight)
                self._book(Outcome(flight.group, "filtered", STALE))
        for group in list(self._ready.values()):
            if self._is_stale(group.trained):
                self._book(Outcome(self._ready.pop(group.index), "filtered", STALE))

    def _is_stale(self, samples: Iterable[Sample]) -> bool:
        oldest = oldest_token(samples)
        return oldest is not None and oldest < self._oldest

    def _start_more(self, inflight: InFlight) -> None:
        bound = self._limits.target * (self._max_staleness + 1)
        room = bound - self._in_training - len(self._ready) - len(inflight)
        if room <= 0 or self._data_ended or self._account.exhausted:
            return
        drawn = self._drawing.draw(room)
        self._account.drew(drawn)
        for flight in drawn.flights:
            inflight.start(flight)
        self._data_ended = len(drawn.flights) < room

    def _close_books(self, scene: Scene, inflight: InFlight) -> Batch:
        """Take the batch; what goes on is kept by this step and brought by the next."""
        taken = sorted(self._ready)[: self._limits.target]
        groups = [self._ready.pop(index) for index in taken]
        for group in groups:
            self._book(Outcome(group, "kept"))
        account, tally, seconds = self._account, self._tally, time.monotonic() - self._opened
        account.check(final=True)
        if len(groups) < self._limits.target and not self._data_ended:
            raise account.out_of_rounds()
        live = [*inflight.flights(), *map(Flight.landed, self._ready.values())]
        tokens = sum(flight.sampled_length for flight in live)
        account.gave_back(len(live), 0, tokens)
        following = Account(scene.step + 1, self._limits)
        following.carry({"from_buffer": len(live)}, tokens)
        self._open_books(following)
        self._in_training = len(groups)
        return Batch(groups, account, tally, seconds)

    def _open_books(self, account: Account) -> None:
        self._account = account
        self._tally = Tally()
        self._opened = time.monotonic()

    def _book(self, outcome: Outcome) -> None:
        self._account.dealt_with(outcome)
        self._tally.add(outcome.group)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
