"""One timer for many calls: each ends on its own time."""

from __future__ import annotations

import asyncio

import pytest

from slime_core.rollout.timeouts import OutOfTimeError, TimeLimit


async def test_only_the_call_that_takes_too_long_ends() -> None:
    limit = TimeLimit(0.05, "--some-setting")
    results = await asyncio.gather(
        *(limit.run(asyncio.sleep(s, s)) for s in (0.0, 0.01, 5.0, 0.02)), return_exceptions=True
    )
    assert results[:2] + results[3:] == [0.0, 0.01, 0.02]
    assert isinstance(results[2], OutOfTimeError)
    assert str(results[2]) == "took longer than 0.05 s (--some-setting)"


async def test_a_later_call_has_its_whole_time() -> None:
    limit = TimeLimit(0.1, "x")
    early = asyncio.create_task(limit.run(asyncio.sleep(0.0)))
    await asyncio.sleep(0.06)
    started = asyncio.get_running_loop().time()
    with pytest.raises(OutOfTimeError):
        await limit.run(asyncio.sleep(5))
    assert asyncio.get_running_loop().time() - started >= 0.095
    await early


async def test_a_cancellation_from_outside_stays_one() -> None:
    limit = TimeLimit(5.0, "x")
    task = asyncio.create_task(limit.run(asyncio.sleep(5)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_error_of_the_work_itself_passes() -> None:
    async def work() -> None:
        raise TimeoutError("the tool's own")

    with pytest.raises(TimeoutError, match="the tool's own") as caught:
        await TimeLimit(5.0, "x").run(work())
    assert not isinstance(caught.value, OutOfTimeError)


async def test_the_task_goes_on_after_a_timeout() -> None:
    with pytest.raises(OutOfTimeError):
        await TimeLimit(0.01, "x").run(asyncio.sleep(5))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0.01)
