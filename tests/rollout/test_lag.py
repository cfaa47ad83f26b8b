"""A hook that blocks the event loop is named once and counted, and the others are not."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from rollout_fakes import FakeClient, Source, config_of, generate, hook, prompt, studio_of
from slime_hookspecs import KEEP, EvalSet, Group, Rollout, Sample, Verdict

from slime_core.plugins import BoundHook
from slime_core.rollout.contexts import Scene
from slime_core.rollout.lag import Culprit, Lag, Suspects, code_of, watched_loop

LIMIT_S = 0.2
BLOCK_S = 0.5
HERE = __file__


async def sleepy_generate(sample: Sample, engine: Any, ctx: Any) -> Sample:
    if sample.index == 0:
        time.sleep(BLOCK_S)
    return await generate(sample, engine, ctx)


async def sleepy_reward(sample: Sample, ctx: Any) -> float:
    if sample.index == 0:
        time.sleep(BLOCK_S)
    return 1.0


async def sleepy_wrap(call_next: Any, sample: Sample, engine: Any, ctx: Any) -> Any:
    answer = await call_next(sample, engine)
    if sample.index == 0:
        time.sleep(BLOCK_S)
    return answer


def sleepy_filter(group: Group, ctx: Any) -> Verdict:
    time.sleep(BLOCK_S)
    return KEEP


def busy_filter(group: Group, ctx: Any) -> Verdict:
    end = time.monotonic() + BLOCK_S
    while time.monotonic() < end:
        sum(range(100))
    return KEEP


def sleepy_observer(group: Group, verdict: Verdict, ctx: Any) -> None:
    time.sleep(BLOCK_S)


async def patient_generate(sample: Sample, engine: Any, ctx: Any) -> Sample:
    await asyncio.gather(asyncio.sleep(BLOCK_S), asyncio.to_thread(time.sleep, BLOCK_S))
    return await generate(sample, engine, ctx)


async def passing_wrap(call_next: Any, sample: Sample, engine: Any, ctx: Any) -> Any:
    return await call_next(sample, engine)


async def roll(
    *hooks: BoundHook, groups: int = 1, steps: int = 1, **settings: Any
) -> list[Rollout]:
    config = config_of(prompts_per_step=groups, loop_lag_limit_s=LIMIT_S, concurrency=1, **settings)
    studio, drawing = studio_of(config, *hooks)
    return [await studio.roll(Scene(i, 1), FakeClient(), drawing) for i in range(steps)]


def warnings(caplog: pytest.LogCaptureFixture, of: str = "plugin") -> list[str]:
    """What was said of plugins; a busy machine may keep the loop besides, which is not theirs."""
    said = (r.getMessage() for r in caplog.records if "event loop" in r.getMessage())
    return [one for one in said if one.startswith(of)]


@pytest.mark.parametrize(
    ("name", "function", "checks"),
    [
        ("slime_generate", sleepy_generate, 0),
        ("slime_generate", sleepy_generate, 16),
        ("slime_wrap_generate", sleepy_wrap, 16),
        ("slime_reward", sleepy_reward, 16),
        ("slime_filter", sleepy_filter, 0),
        ("slime_filter", sleepy_filter, 16),
        ("slime_filter", busy_filter, 16),
        ("slime_on_group", sleepy_observer, 16),
    ],
)
async def test_a_hook_that_blocks_the_loop_is_named_with_its_line(
    name: str, function: Callable[..., Any], checks: int, caplog: pytest.LogCaptureFixture
) -> None:
    wrap = hook("slime_wrap_generate", passing_wrap, "innocent")
    (rollout,) = await roll(wrap, hook(name, function, "sleepy"), check_plugins=checks)
    (said,) = warnings(caplog)
    assert said.startswith(
        f"plugin sleepy, {name}, kept the event loop from all other samples for more than 0.2 s "
        f"(--rollout-loop-lag-limit-s), at {HERE}:"
    )
    line = int(said.split(f"{HERE}:")[1].split(":")[0])
    first = function.__code__.co_firstlineno
    assert first < line <= first + 5
    blocked = {k: v for k, v in rollout.metrics.items() if "loop_blocked/" in k}
    assert blocked == {"rollout/loop_blocked/sleepy": 1}
    assert rollout.metrics["rollout/loop_blocked"] >= 1
    assert rollout.metrics["rollout/loop_lag_max_s"] >= BLOCK_S - 0.1


async def test_each_time_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    rollouts = await roll(hook("slime_filter", sleepy_filter, "sleepy"), groups=2, steps=2)
    assert len(warnings(caplog)) == 1
    for rollout in rollouts:
        assert rollout.metrics["rollout/loop_blocked/sleepy"] == 2


async def test_it_is_said_of_evaluation_too(caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(loop_lag_limit_s=LIMIT_S)
    studio, _ = studio_of(config, hook("slime_reward", sleepy_reward, "sleepy"))
    scene = Scene(0, 1, evaluating="held")
    metrics = await studio.measure(scene, EvalSet("held", [prompt(0)]), FakeClient())
    (said,) = warnings(caplog)
    assert said.startswith("plugin sleepy, slime_reward, kept the event loop")
    assert not any("loop" in name for name in metrics)


async def test_who_waits_as_one_should_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    (rollout,) = await roll(hook("slime_generate", patient_generate))
    assert warnings(caplog) == []
    assert not any("loop_blocked/" in name for name in rollout.metrics)


async def test_a_task_of_its_own_is_known_by_its_file(caplog: pytest.LogCaptureFixture) -> None:
    async def helper() -> None:
        time.sleep(BLOCK_S)

    async def spawning(sample: Sample, engine: Any, ctx: Any) -> Sample:
        if sample.index == 0:
            await asyncio.create_task(helper())
        return await generate(sample, engine, ctx)

    (rollout,) = await roll(hook("slime_generate", spawning, "spawner"))
    (said,) = warnings(caplog)
    assert said.startswith("plugin spawner, ")
    assert "helper, kept the event loop" in said
    assert rollout.metrics["rollout/loop_blocked/spawner"] == 1


async def test_a_data_source_that_blocks_is_known_by_its_file(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Slow(Source):
        def take(self, count: int) -> Any:
            time.sleep(BLOCK_S)
            return [prompt(i) for i in range(count)]

    opener = hook("slime_data_source", lambda options, run: Slow(), "slow_data")
    await roll(opener)
    (said,) = warnings(caplog)
    assert said.startswith("plugin slow_data, ")
    assert "Slow.take, kept the event loop" in said


async def test_what_is_no_plugins_is_said_to_be_none(caplog: pytest.LogCaptureFixture) -> None:
    async with watched_loop(Suspects([]), LIMIT_S) as lag:
        time.sleep(BLOCK_S)
        await asyncio.sleep(0.1)
    assert lag.blocked == {None: 1}
    assert len(warnings(caplog, of="code of no plugin kept the event loop")) == 1
    assert set(lag.metrics()) == {"rollout/loop_lag_max_s", "rollout/loop_blocked"}


async def test_a_hook_that_never_returns_is_named_while_it_hangs() -> None:
    """The warning does not wait for the loop to go on: it may never."""
    said = threading.Event()

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.set()

    def hanging(group: Group, ctx: Any) -> Verdict:
        assert said.wait(5)
        return KEEP

    log, handler = logging.getLogger("slime.rollout"), Listening()
    log.addHandler(handler)
    try:
        await roll(hook("slime_filter", hanging))
    finally:
        log.removeHandler(handler)


async def test_nothing_is_left_behind() -> None:
    threads = threading.active_count()
    with pytest.raises(ValueError, match="out"):
        async with watched_loop(Suspects([]), LIMIT_S):
            raise ValueError("out")
    await asyncio.sleep(0)
    assert threading.active_count() == threads
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Callable_:  # noqa: N801
    def __call__(self, group: Group, ctx: Any) -> Verdict:
        return KEEP


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def around(*arguments: Any) -> Any:
        return function(*arguments)

    return around


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (sleepy_filter, sleepy_filter.__code__),
        (functools.partial(sleepy_filter, ctx=None), sleepy_filter.__code__),
        (decorated(sleepy_filter), sleepy_filter.__code__),
        (Callable_(), Callable_.__call__.__code__),
        (Callable_().__call__, Callable_.__call__.__code__),
        (len, None),
    ],
)
def test_the_code_of_a_hook_is_found_through_what_is_around_it(function: Any, code: Any) -> None:
    assert code_of(function) is code


def test_metrics_sum_over_the_hooks_of_a_plugin() -> None:
    lag = Lag(0.5)
    lag.blocked.update({Culprit("a", "x"): 2, Culprit("a", "y"): 1, None: 4})
    assert lag.metrics() == {
        "rollout/loop_lag_max_s": 0.5,
        "rollout/loop_blocked": 7,
        "rollout/loop_blocked/a": 3,
    }
