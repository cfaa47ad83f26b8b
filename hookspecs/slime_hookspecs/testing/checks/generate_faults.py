"""Generate where things break: cancelled, aborted, without a server, with a malformed answer."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from slime_hookspecs.records import Prompt, Sample, StopReason
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, _episodes, check
from slime_hookspecs.testing.checks._episodes import (
    DEADLINE_S,
    MAX_CALLS,
    calls_of,
    episode,
    prompts,
)
from slime_hookspecs.testing.checks._running import Running, steps
from slime_hookspecs.testing.kit.faults import Abort, Fault, Malformed, Restart
from slime_hookspecs.testing.subject import Subject

HOOKS: Final = ("slime_generate",)
#: Steps of the event loop after which an episode is cancelled, besides in each call.
CANCEL_AT: Final = range(12)


@check("generate.deadline", "generate", hooks=HOOKS)
def deadline(subject: Subject) -> None:
    """An episode that the core cancels at its deadline, while the engine is silent, ends soon."""

    async def limited(prompt: Prompt, call: int) -> None:
        task, _ = await _episodes.in_call(subject, prompt, call)
        if not task.done() and not await _episodes.cancel(task):
            raise CheckFailed(
                f"it went on for {DEADLINE_S:g} s after the core cancelled it at its deadline"
            )

    prompt = subject.prompts[0]
    for call in calls_of(subject, prompt):
        _episodes.run(limited(prompt, call))


@check("generate.cancellation", "generate", hooks=HOOKS)
def cancellation(subject: Subject) -> None:
    """Cancelled at any await point, ``CancelledError`` passes through."""
    prompt = subject.prompts[0]
    calls = len(episode(subject, prompt).engine.written)
    for after in CANCEL_AT:
        _episodes.run(_cancel_after(subject, prompt, after))
    for call in range(min(calls, MAX_CALLS)):
        _episodes.run(_cancel_in(subject, prompt, call))


async def _cancel_after(subject: Subject, prompt: Prompt, count: int) -> None:
    engine = _episodes.engine(subject)
    work = asyncio.ensure_future(_episodes.attempt(subject, _episodes.sample(prompt), engine))
    await steps(count)
    if not work.done():
        await _episodes.cancel(work)
        _passed(work, f"after {count} steps of the event loop")


async def _cancel_in(subject: Subject, prompt: Prompt, call: int) -> None:
    work, _ = await _episodes.in_call(subject, prompt, call)
    if not work.done():
        await _episodes.cancel(work)
        _passed(work, f"in call {call} to the engine")


def _passed(work: asyncio.Future[Any], when: str) -> None:
    if work.done() and not work.cancelled():
        what = repr(work.exception() or work.result())
        raise CheckFailed(f"cancelled {when}, it ended with {what:.120}; let CancelledError pass")


@check("generate.leaves_nothing", "generate", hooks=HOOKS)
def leaves_nothing(subject: Subject) -> None:
    """No task, thread or process is left when an episode is over."""
    prompt = subject.prompts[0]
    episode(subject, prompt)

    async def watch() -> str:
        # What an episode starts once for all that follow is not left by each.
        await _whole(subject, prompt)
        before = Running()
        await _whole(subject, prompt)
        await steps()
        return before.since()

    if left := _episodes.run(watch()):
        raise CheckFailed(f"it left {left}; await, cancel or end it before you return")


@check("generate.leaves_nothing_when_cancelled", "generate", hooks=HOOKS)
def leaves_nothing_when_cancelled(subject: Subject) -> None:
    """No task, thread or process is left when an episode is cancelled."""
    prompt = subject.prompts[0]

    async def watch(call: int) -> str:
        await _whole(subject, prompt)
        before = Running()
        task, _ = await _episodes.in_call(subject, prompt, call)
        await _episodes.cancel(task)
        await steps()
        return before.since(task)

    for call in calls_of(subject, prompt):
        if left := _episodes.run(watch(call)):
            raise CheckFailed(f"cancelled, it left {left}; end it in a finally block")


@check("generate.continues_after_abort", "generate", hooks=HOOKS)
def continues_after_abort(subject: Subject) -> None:
    """An aborted episode is ``ABORTED``, and a second attempt goes on from its trace."""
    given = [(prompt, call) for prompt in prompts(subject) for call in calls_of(subject, prompt)]
    aborted = [_abort_and_retry(subject, *one) for one in given]
    if not any(aborted):
        raise NotApplicable(_episodes.TOO_SHORT)


def _abort_and_retry(subject: Subject, prompt: Prompt, call: int) -> bool:
    """Whether the call could be cut off; fails where the episode does not go on from there."""
    sample = _episodes.sample(prompt)
    engine = _episodes.engine(subject, Abort(after_tokens=1, call=call))
    first = _sample_of(subject, _end(subject, sample, engine), "aborted")
    if first != [sample]:
        raise NotApplicable("it returns other samples, which have no second attempt")
    if not _episodes.was_aborted(engine):
        return False
    if sample.stop is not StopReason.ABORTED:
        raise CheckFailed(f"the engine aborted, and sample.stop is {sample.stop.name}")
    left, before = sample.trace.tokens, len(engine.written)
    sample.stop = StopReason.PENDING
    last = _sample_of(subject, _end(subject, sample, engine), "continued")[0].trace.tokens
    asked = [list(turn.asked) for turn in engine.written[before:]]
    # An attempt that left nothing has nothing to be continued.
    if last[: len(left)] != left or (left and asked[:1] != [left]) or not last:
        what = "lost them" if last[: len(left)] != left else "did not go on from them"
        raise CheckFailed(
            f"an interrupted attempt left {len(left)} tokens, and the second attempt {what}; "
            f"continue from sample.trace where it is not empty"
        )
    return True


@check("generate.engine_down", "generate", hooks=HOOKS)
def engine_down(subject: Subject) -> None:
    """Where no server answers, an ``EngineError`` comes out, and no sample that looks finished."""
    _break_all(subject, Restart)


@check("generate.malformed_answer", "generate", hooks=HOOKS)
def malformed_answer(subject: Subject) -> None:
    """An answer that is none becomes an ``EngineError``, and no sample that looks finished."""
    _break_all(subject, Malformed)


@check("generate.works_after_failure", "generate", hooks=HOOKS)
def works_after_failure(subject: Subject) -> None:
    """After episodes that failed or were cancelled the next one is as good as ever."""
    prompt = subject.prompts[0]
    calls = calls_of(subject, prompt)

    async def all_in_one_loop() -> Any:
        for call in calls:
            broken = _episodes.engine(subject, Restart(call=call))
            await _episodes.ended(_episodes.attempt(subject, _episodes.sample(prompt), broken))
            task, _ = await _episodes.in_call(subject, prompt, call)
            await _episodes.cancel(task)
        try:
            return await _episodes.ended(_whole(subject, prompt))
        except CheckFailed as error:
            return error

    answer = _episodes.run(all_in_one_loop())
    if isinstance(answer, BaseException):
        raise CheckFailed(
            f"after episodes that failed, one that should not: "
            f"{answer if isinstance(answer, CheckFailed) else subject.told(answer)}; "
            f"give back in a finally block what an episode takes"
        ) from (None if isinstance(answer, CheckFailed) else answer)


def _break_all(subject: Subject, fault: type[Fault]) -> None:
    for prompt in prompts(subject):
        for call in (None, *calls_of(subject, prompt)):
            engine = _episodes.engine(subject, fault(call=call))
            answer = _end(subject, _episodes.sample(prompt), engine)
            if _episodes.wrong_error(answer):
                told = subject.told(answer, 200)
                raise CheckFailed(f"it raised {told}; raise an EngineError") from answer
            if isinstance(answer, Exception) or call is not None:
                continue
            for one in _episodes.samples_of(answer):
                if one.error is None:
                    raise CheckFailed(
                        f"the engine never answered, and a sample came back with stop "
                        f"{one.stop.name}; it would be scored as if the model had said nothing"
                    )


def _end(subject: Subject, sample: Sample, engine: Any) -> Any:
    return _episodes.run(_episodes.ended(_episodes.attempt(subject, sample, engine)))


def _sample_of(subject: Subject, answer: Any, how: str) -> list[Sample]:
    if isinstance(answer, BaseException):
        raise CheckFailed(f"{how}, it raised {subject.told(answer)}") from answer
    return _episodes.samples_of(answer)


async def _whole(subject: Subject, prompt: Prompt) -> Any:
    return await _episodes.attempt(subject, _episodes.sample(prompt), _episodes.engine(subject))
