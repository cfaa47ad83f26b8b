"""Dynamic sampling: start groups until enough are kept, then stop the rest."""

from __future__ import annotations

import math
from typing import Final

from slime_hookspecs import Group

from slime_core.rollout.accounting import Account, Limits
from slime_core.rollout.drawing import Drawing
from slime_core.rollout.inflight import InFlight
from slime_core.rollout.staleness import unless_stale
from slime_core.rollout.tally import Tally

#: Seconds that aborted samples have to return by themselves.
GRACE_S: Final = 10.0


async def collect(
    drawing: Drawing, inflight: InFlight, limits: Limits, account: Account, tally: Tally
) -> list[Group]:
    """The groups to train on, in the order in which their prompts were drawn.

    Fewer than the target only where the data ends.
    """
    kept: list[Group] = []
    ended = False
    try:
        while len(kept) < limits.target:
            missing = limits.target - len(kept) - len(inflight)
            if missing > 0 and not ended and not account.exhausted:
                ended = _start(drawing, inflight, account, math.ceil(missing * limits.spare))
            if not len(inflight):
                break  # the data ended, or too much was tried
            outcome = unless_stale(await inflight.next(), limits.oldest_version)
            account.ended(outcome)
            tally.add(outcome.group)
            if outcome.fate == "kept":
                kept.append(outcome.group)
            account.check()
    except BaseException:
        await _give_back(drawing, inflight, account, 0.0)
        raise
    await _give_back(drawing, inflight, account, GRACE_S)
    account.check(final=True)
    if len(kept) < limits.target and not ended:
        raise account.out_of_rounds()
    return sorted(kept, key=lambda group: group.index)


def _start(drawing: Drawing, inflight: InFlight, account: Account, count: int) -> bool:
    """Start ``count`` groups; whether the data ended before that."""
    drawn = drawing.draw(count)
    account.drew(drawn)
    for flight in drawn.flights:
        inflight.start(flight)
    return len(drawn.flights) < count


async def _give_back(
    drawing: Drawing, inflight: InFlight, account: Account, grace_s: float
) -> None:
    flights, stopped = await inflight.stop(grace_s)
    account.gave_back(len(flights), stopped, drawing.give_back(flights))
