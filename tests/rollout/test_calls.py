"""Around a hook: wrappers, exceptions, cancellation, observers behave as ordinary Python does."""

from __future__ import annotations

import ast
import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import slime_hookspecs
from rollout_fakes import FakeClient, Source, config_of, generate, hook, studio_of
from slime_hookspecs import Group, Rollout, Sample, SampleError, StopReason, Verdict

import slime_core
from slime_core.plugins import BoundHook
from slime_core.rollout.blame import Origin, blame, cancelled_itself
from slime_core.rollout.contexts import Scene

SCENE = Scene(step=0, weight_version=1)


async def reward(sample: Sample, ctx: Any) -> float:
    return 1.0


async def roll(*hooks: BoundHook, **settings: Any) -> Rollout:
    """A step of one sample, which may fail."""
    config = {"prompts_per_step": 1, "samples_per_prompt": 1, "max_failed_fraction": 1.0}
    source = Source(settings.pop("prompts", 1))
    studio, drawing = studio_of(config_of(**{**config, **settings}), *hooks, source=source)
    return await studio.roll(SCENE, FakeClient(), drawing)


def around_generate(name: str, log: list[str]) -> BoundHook:
    async def wrap(call_next: Any, sample: Sample, engine: Any, ctx: Any) -> Any:
        log.append(f"> {name}")
        try:
            return await call_next(sample, engine)
        except BaseException as error:
            log.append(f"! {name} {type(error).__name__}")
            raise
        finally:
            log.append(f"< {name}")

    return hook("slime_wrap_generate", wrap, name)


def around_reward(name: str, log: list[str]) -> BoundHook:
    async def wrap(call_next: Any, sample: Sample, ctx: Any) -> Any:
        log.append(f"> {name}")
        try:
            return await call_next(sample)
        except BaseException as error:
            log.append(f"! {name} {type(error).__name__}")
            raise
        finally:
            log.append(f"< {name}")

    return hook("slime_wrap_reward", wrap, name)


@pytest.mark.parametrize("checks", [0, 16])
async def test_wrappers_enter_in_plan_order_and_leave_in_reverse(checks: int) -> None:
    log: list[str] = []
    wraps = [around_generate(name, log) for name in "abc"]
    wraps += [around_reward(name, log) for name in "xy"]
    rewards = [hook("slime_reward", reward, name) for name in ("one", "two")]
    rollout = await roll(*wraps, *rewards, check_plugins=checks)
    assert rollout.groups[0].samples[0].reward == 2.0
    each = ["> x", "> y", "< y", "< x"]
    assert log == ["> a", "> b", "> c", "< c", "< b", "< a", *each, *each]


async def test_wrappers_are_composed_once_a_step_and_not_for_each_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from slime_core.rollout.episodes import Episodes
    from slime_core.rollout.rewards import Scorer

    linked: list[str] = []
    for owner in (Episodes, Scorer):
        link = owner._link

        def counted(self: Any, wrap: BoundHook, inner: Any, link: Any = link) -> Any:
            linked.append(wrap.plugin)
            return link(self, wrap, inner)

        monkeypatch.setattr(owner, "_link", counted)
    hooks = [around_generate("g", []), around_reward("r", []), hook("slime_reward", reward)]
    rollout = await roll(*hooks, prompts=8, prompts_per_step=8, samples_per_prompt=4)
    assert len(rollout.groups) == 8
    assert sorted(linked) == ["g", "r"]


async def test_a_wrapper_may_answer_itself() -> None:
    async def cached(call_next: Any, sample: Sample, ctx: Any) -> float:
        return 0.25

    async def never(sample: Sample, ctx: Any) -> float:
        raise AssertionError("called")

    rollout = await roll(hook("slime_wrap_reward", cached), hook("slime_reward", never))
    assert rollout.groups[0].samples[0].reward == 0.25


async def test_a_wrapper_sees_the_exception_itself_with_a_note_and_may_mend_it() -> None:
    seen: list[BaseException] = []
    raised = LookupError("no tool of that name")

    async def broken(sample: Sample, engine: Any, ctx: Any) -> Any:
        raise raised

    async def mend(call_next: Any, sample: Sample, engine: Any, ctx: Any) -> Any:
        try:
            return await call_next(sample, engine)
        except LookupError as error:
            seen.append(error)
            return await generate(sample, engine, ctx)

    rollout = await roll(
        hook("slime_wrap_generate", mend, "mender"), hook("slime_generate", broken, "agent")
    )
    assert rollout.metrics["rollout/failed"] == 0
    assert seen == [raised]
    assert raised.__notes__ == ["in plugin agent 1.2, hook slime_generate, sample 0"]


@pytest.mark.parametrize("checks", [0, 16])
@pytest.mark.parametrize("where", ["slime_generate", "slime_reward"])
async def test_a_cancelled_step_cancels_through_all_wrappers_and_is_untouched(
    where: str, checks: int
) -> None:
    log: list[str] = []
    notes: list[Any] = []
    began = asyncio.Event()

    async def waiting(*arguments: Any) -> Any:
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            notes.append(getattr(error, "__notes__", None))
            raise

    make = around_generate if where == "slime_generate" else around_reward
    hooks = [make("outer", log), make("inner", log), hook(where, waiting)]
    work = asyncio.create_task(roll(*hooks, check_plugins=checks))
    await began.wait()
    work.cancel("by the user")
    with pytest.raises(asyncio.CancelledError) as caught:
        await work
    assert getattr(caught.value, "__notes__", None) is None
    assert notes == [None]
    assert log == [
        "> outer", "> inner", "! inner CancelledError", "< inner", "! outer CancelledError",
        "< outer",
    ]  # fmt: skip
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("where", ["slime_reward", "slime_group_reward", "slime_generate"])
async def test_a_cancellation_that_nobody_asked_for_costs_what_a_failure_costs(
    where: str,
) -> None:
    async def leaky(subject: Any, *arguments: Any) -> Any:
        raise asyncio.CancelledError

    rollout = await asyncio.wait_for(roll(hook(where, leaky, "leaky")), 10)
    assert rollout.groups == []
    assert rollout.metrics[f"prompts/failed/{where.removeprefix('slime_')}"] == 1
    assert rollout.metrics["rollout/failed"] == 1


async def test_cancelled_itself_tells_the_two_apart() -> None:
    leaky = hook("slime_reward", reward, "leaky")
    record = SampleError("leaky", "slime_reward", "CancelledError", "the plugin cancelled itself")
    assert cancelled_itself(leaky) == record

    async def stopped() -> SampleError | None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return cancelled_itself(leaky)
        return record

    task = asyncio.create_task(stopped())
    await asyncio.sleep(0)
    task.cancel()
    assert await task is None


async def test_a_plugin_that_swallows_its_deadline_leaves_nothing_behind() -> None:
    """Its task may be cancelled later, and is not taken for one that is being cancelled."""
    states: list[int] = []

    async def stubborn(sample: Sample, engine: Any, ctx: Any) -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return await generate(sample, engine, ctx)

    async def look(sample: Sample, ctx: Any) -> float:
        task = asyncio.current_task()
        assert task is not None
        states.append(task.cancelling())
        return 1.0

    hooks = [hook("slime_generate", stubborn), hook("slime_reward", look)]
    rollout = await roll(*hooks, generate_timeout_s=0.05)
    assert rollout.groups[0].samples[0].stop is StopReason.STOP
    assert states == [0]


async def raising_later(*arguments: Any) -> None:
    await asyncio.sleep(0)
    raise OSError("disk is full")


async def hanging(*arguments: Any) -> None:
    await asyncio.sleep(60)


async def leaking(*arguments: Any) -> None:
    raise asyncio.CancelledError


def raising(*arguments: Any) -> None:
    raise OSError("disk is full")


OBSERVERS = [
    (raising, "OSError: disk is full"),
    (raising_later, "OSError: disk is full"),
    (hanging, "OutOfTimeError: took longer than 0.05 s (the limit of observers)"),
    (leaking, "CancelledError: "),
]


@pytest.mark.parametrize(("observer", "found"), OBSERVERS)
async def test_an_observer_costs_a_count_and_one_warning_and_the_others_are_told(
    observer: Callable[..., Any],
    found: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("slime_core.rollout.observers.TIMEOUT_S", 0.05)
    told: list[str] = []

    def good_group(group: Group, verdict: Verdict, ctx: Any) -> None:
        told.append(f"group {group.index}")

    async def good_rollout(rollout: Rollout, ctx: Any) -> None:
        told.append(f"rollout {len(rollout.groups)}")

    studio, drawing = studio_of(
        config_of(prompts_per_step=3, samples_per_prompt=1, concurrency=1),
        hook("slime_reward", reward),
        hook("slime_on_group", observer, "bad"),
        hook("slime_on_group", good_group, "good"),
        hook("slime_on_rollout", observer, "bad"),
        hook("slime_on_rollout", good_rollout, "good"),
    )
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    await studio.announce(SCENE, rollout)
    assert sorted(told) == ["group 0", "group 1", "group 2", "rollout 3"]
    assert studio.observers.metrics() == {
        "rollout/observer_errors": 4,
        "rollout/observer_errors/bad": 4,
    }
    end = "; the run goes on, and further errors are only counted"
    assert [record.getMessage() for record in caplog.records] == [
        f"plugin bad, hook slime_on_group: {found}{end}",
        f"plugin bad, hook slime_on_rollout: {found}{end}",
    ]


async def test_a_hanging_observer_is_stopped_with_the_run() -> None:
    began = asyncio.Event()

    async def slow(group: Group, verdict: Verdict, ctx: Any) -> None:
        began.set()
        await asyncio.sleep(60)

    work = asyncio.create_task(roll(hook("slime_reward", reward), hook("slime_on_group", slow)))
    await began.wait()
    started = time.monotonic()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert time.monotonic() - started < 5


@dataclass(frozen=True)
class FrozenError(Exception):
    code: int


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), OSError(2, "x"), FrozenError(3)])
def test_blame_keeps_the_exception_and_is_laid_once(error: Exception) -> None:
    inner, outer = hook("slime_generate", None, "inner"), hook("slime_wrap_generate", None, "outer")
    before = (type(error), error.args, str(error))
    blame(error, inner, "sample 3")
    blame(error, outer, "sample 3")
    assert (type(error), error.args, str(error)) == before
    assert error.__notes__ == ["in plugin inner 1.2, hook slime_generate, sample 3"]
    assert vars(error)["_slime_origin"] == Origin("inner", "slime_generate")


def test_notes_that_a_plugin_wrote_stay() -> None:
    error = ValueError("x")
    error.add_note("its own")
    blame(error, hook("slime_filter", None, "f"), "group 1")
    assert error.__notes__ == ["its own", "in plugin f 1.2, hook slime_filter, group 1"]


def sources() -> list[Path]:
    roots = (Path(slime_core.__file__).parent, Path(slime_hookspecs.__file__).parent)
    return [path for root in roots for path in root.rglob("*.py")]


def test_no_code_of_ours_uses_alarm_signals() -> None:
    """They reach the main thread only, and interrupt whatever it is at."""
    names = {"SIGALRM", "alarm", "setitimer", "SIGVTALRM", "SIGPROF"}
    found = [
        f"{path}:{node.lineno}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in names
    ]
    assert len(sources()) > 100
    assert found == []
