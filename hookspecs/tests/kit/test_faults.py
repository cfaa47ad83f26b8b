"""Each fault does to an engine exactly what it says, in the call that it says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from slime_hookspecs import EngineError, StopReason, Trace
from slime_hookspecs.testing.kit import (
    Abort,
    Fault,
    Malformed,
    NewWeights,
    Restart,
    ScriptedEngine,
    SlowTokens,
    Timeout,
    VirtualClock,
)
from slime_hookspecs.testing.kit.faults import MALFORMED_ANSWER

PROMPT = [3, 50, 1, 4]


async def calls(engine: ScriptedEngine, count: int) -> list[Any]:
    """What so many turns of one sample came to: stop reason and text, or the error."""
    found: list[Any] = []
    for _ in range(count):
        trace = Trace()
        trace.append_prompt(PROMPT)
        try:
            stop = await engine.generate(trace)
            found.append((stop.value, engine.decode(trace.response_tokens)))
        except EngineError as error:
            assert len(trace) == len(PROMPT), "a failed call appended something"
            found.append(str(error))
    return found


RESTART = "no server answered; it is starting again"
MALFORMED = f"/generate answered without what is due: {MALFORMED_ANSWER}"
FINE = ("stop", "abcdef")


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (Abort(), [("aborted", "abc"), FINE, FINE]),
        (Abort(after_tokens=0, call=1), [FINE, ("aborted", ""), FINE]),
        (Abort(after_tokens=1, call=None), [("aborted", "a")] * 3),
        (Abort(after_tokens=6), [("aborted", "abcdef"), FINE, FINE]),
        (Abort(after_tokens=7), [FINE, FINE, FINE]),
        (Abort(after_tokens=999), [FINE, FINE, FINE]),
        (Restart(), [RESTART, FINE, FINE]),
        (Restart(call=2), [FINE, FINE, RESTART]),
        (Malformed(call=1), [FINE, MALFORMED, FINE]),
        (NewWeights(), [FINE, FINE, FINE]),
        (SlowTokens(), [FINE, FINE, FINE]),
        (Timeout(call=1), [FINE, FINE, FINE]),
        (Fault(), [FINE, FINE, FINE]),
    ],
    ids=repr,
)
def test_a_fault_changes_what_the_calls_that_it_hits_come_to(
    fault: Fault, found: list[Any]
) -> None:
    engine = ScriptedEngine(["abcdef"], faults=[fault])
    assert VirtualClock().run(calls(engine, 3)) == found


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (Timeout(), 3600.0),
        (Timeout(5.0), 5.0),
        (Timeout(5.0, call=None), 10.0),
        (SlowTokens(), 14.0),
        (SlowTokens(0.5, call=1), 3.5),
        (Restart(), 0.0),
    ],
    ids=repr,
)
def test_a_fault_takes_its_time(fault: Fault, seconds: float) -> None:
    clock = VirtualClock()
    clock.run(calls(ScriptedEngine(["abcdef"], faults=[fault]), 2))
    assert clock.elapsed == pytest.approx(seconds, abs=0.2)


def test_a_deadline_passes_while_the_server_is_silent() -> None:
    async def asked() -> None:
        async with asyncio.timeout(30):
            await calls(ScriptedEngine(faults=[Timeout()]), 1)

    clock = VirtualClock()
    with pytest.raises(TimeoutError):
        clock.run(asked())
    assert clock.elapsed == pytest.approx(30, abs=0.2)


async def test_new_weights_come_before_the_call_and_stay() -> None:
    engine = ScriptedEngine(["ab"], faults=[NewWeights(call=1), NewWeights(3, call=2)])
    trace = Trace()
    trace.append_prompt(PROMPT)
    for _ in range(4):
        await engine.generate(trace)
        trace.append_observed([60])
    assert [s.weight_version for s in trace.segments if s.kind == "sampled"] == [1, 2, 5, 5]
    assert engine.weight_version == 5


async def test_an_aborted_turn_goes_on_where_it_broke_off_with_newer_weights() -> None:
    faults = [Abort(after_tokens=2, call=0), NewWeights(call=1), Abort(after_tokens=1, call=1)]
    engine = ScriptedEngine(["abcdef"], faults=faults)
    trace = Trace()
    trace.append_prompt(PROMPT)
    assert [await engine.generate(trace) for _ in range(3)] == [
        StopReason.ABORTED,
        StopReason.ABORTED,
        StopReason.STOP,
    ]
    turns = [(engine.decode(s.tokens), s.weight_version) for s in trace.segments[1:]]
    assert turns == [("ab", 1), ("c", 2), ("def", 2)]


async def test_faults_of_one_call_add_up_in_order() -> None:
    engine = ScriptedEngine(["abcdef"], faults=[NewWeights(call=0), Restart(call=0)])
    assert await calls(engine, 2) == [RESTART, FINE]
    assert engine.weight_version == 2


async def test_calls_are_counted_over_all_samples_and_posts() -> None:
    engine = ScriptedEngine(["abcdef"], faults=[Malformed(call=1)])
    assert await calls(engine, 1) == [FINE]
    assert await engine.post("/generate", {"input_ids": PROMPT}) == MALFORMED_ANSWER
    assert await calls(engine, 1) == [FINE]


async def test_a_fault_of_ones_own_is_a_subclass() -> None:
    class Loud(Fault):
        async def happen(self, turn: Any) -> None:
            turn.tokens = turn.engine.encode("LOUD")

    assert await calls(ScriptedEngine(["abcdef"], faults=[Loud(call=1)]), 2) == [
        FINE,
        ("stop", "LOUD"),
    ]
