"""Wrappers: they pass on what is inside them, values, errors and cancellations alike."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

from slime_hookspecs.errors import EngineError
from slime_hookspecs.records import Reward, Sample, StopReason
from slime_hookspecs.testing import samples
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, _episodes, check
from slime_hookspecs.testing.checks._running import Running, steps
from slime_hookspecs.testing.kit.engine import ScriptedEngine
from slime_hookspecs.testing.kit.factories import make_sample
from slime_hookspecs.testing.subject import Subject

Work: TypeAlias = Callable[[Sample], Any]

HOOKS: Final = ("slime_wrap_generate", "slime_wrap_reward")
#: Exceptions that what is inside may raise, each of a family of its own.
ERRORS: Final = (ValueError("made to fail"), EngineError("no server answered"), TimeoutError())
REWARDS: Final = (0.0, 1.0, 1, -0.5, Reward(0.75), Reward(1.0, {"parsed": 1.0}))
#: Samples side by side.
TOGETHER: Final = 8


@final
@dataclass(eq=False)
class Inner:
    """What a wrapper is put around: counts its calls, and does what a check wants.

    Attributes:
        work: Gives the answer to a sample, an exception to raise, or a future to wait for.
        calls: How often it was called.
    """

    work: Work
    calls: int = 0

    async def __call__(self, sample: Sample, *engine: Any) -> Any:
        """Answer after a step of the event loop, as a real one does."""
        self.calls += 1
        await asyncio.sleep(0)
        answer = self.work(sample)
        if isinstance(answer, BaseException):
            raise answer
        return await answer if asyncio.isfuture(answer) else answer


@check("wrap.every_answer", "wrap", hooks=HOOKS)
def every_answer(subject: Subject) -> None:
    """Whatever a hook may answer goes through: a sample, siblings, a float, a ``Reward``."""
    for hook, what, work in _answers(subject):
        found = _outcome(subject, hook, Inner(work))
        if isinstance(found, BaseException):
            told = subject.told(found, 200)
            raise CheckFailed(f"{hook}: around {what} it raised {told}") from found


@check("wrap.right_type", "wrap", hooks=HOOKS)
def right_type(subject: Subject) -> None:
    """It returns what is inside it, or a value of the same kind."""
    for hook, what, work in _answers(subject):
        found = _outcome(subject, hook, Inner(work))
        if not isinstance(found, BaseException) and not _fits(hook, found):
            wanted = "a finite float or a Reward"
            wanted = "a sample or a list of samples" if hook == HOOKS[0] else wanted
            raise CheckFailed(f"{hook}: around {what} it returned {found!r:.120}; return {wanted}")


@check("wrap.errors_pass", "wrap", hooks=HOOKS)
def errors_pass(subject: Subject) -> None:
    """An exception of what is inside comes out with its type, and never as a value."""
    for hook in _usable(subject):
        for error in ERRORS:
            inner, name = Inner(_giving(error)), type(error).__name__
            found = _outcome(subject, hook, inner)
            if inner.calls and not isinstance(found, BaseException):
                raise CheckFailed(
                    f"{hook}: what is inside raised {name}, and it returned {found!r:.120}; "
                    f"a sample that failed must not look like one that scored badly"
                )
            if inner.calls and not isinstance(found, type(error)):
                raise CheckFailed(
                    f"{hook}: what is inside raised {name}, and it raised "
                    f"{subject.told(found)}; let exceptions keep their type"
                ) from found


@check("wrap.cancellation", "wrap", hooks=HOOKS)
def cancellation(subject: Subject) -> None:
    """Cancelled while it waits for what is inside, ``CancelledError`` passes through."""
    for hook in _usable(subject):
        if wrong := _episodes.run(_cancelled(subject, hook)):
            raise CheckFailed(f"{hook}: cancelled, {wrong}; let CancelledError pass")


@check("wrap.calls_once", "wrap", hooks=HOOKS)
def calls_once(subject: Subject) -> None:
    """``call_next`` is called at most once, even where it fails or the sample was aborted."""
    works = [(hook, work) for hook, _, work in _answers(subject)]
    works += [(hook, _giving(error)) for hook in _own(subject) for error in ERRORS]
    if HOOKS[0] in _own(subject):
        works.append((HOOKS[0], lambda sample: _finish(sample, StopReason.ABORTED)))
    for hook, work in works:
        inner = Inner(work)
        _outcome(subject, hook, inner)
        if inner.calls > 1:
            raise CheckFailed(
                f"{hook}: it called call_next {inner.calls} times for one sample; a second call "
                f"costs another episode, in a trace that the first one wrote"
            )


@check("wrap.keeps_prompt", "wrap", hooks=HOOKS)
def keeps_prompt(subject: Subject) -> None:
    """``sample.prompt`` is left as it was: all samples of a group share it."""
    for hook in _usable(subject):
        given = _sample(hook)
        before = copy.deepcopy(given.prompt)
        _outcome(subject, hook, Inner(_plain(hook)), given)
        if given.prompt != before:
            raise CheckFailed(
                f"{hook}: it changed sample.prompt to {given.prompt!r:.200}; give call_next a "
                f"sample of your own, with dataclasses.replace, where it must see another prompt"
            )


@check("wrap.leaves_nothing", "wrap", hooks=HOOKS)
def leaves_nothing(subject: Subject) -> None:
    """No task, thread or process is left when it returned."""

    async def watch(hook: str) -> str:
        await _call(subject, hook, Inner(_plain(hook)))
        before = Running()
        await _call(subject, hook, Inner(_plain(hook)))
        await steps()
        return before.since()

    for hook in _usable(subject):
        if left := _episodes.run(watch(hook)):
            raise CheckFailed(f"{hook}: it left {left}; await, cancel or end it")


@check("wrap.samples_do_not_mix", "wrap", hooks=HOOKS)
def samples_do_not_mix(subject: Subject) -> None:
    """Samples side by side get what each gets alone."""
    for hook in _usable(subject):
        alone = [_outcome(subject, hook, *_numbered(hook, n)) for n in range(TOGETHER)]
        again = [_outcome(subject, hook, *_numbered(hook, n)) for n in range(TOGETHER)]
        if _prints(alone) != _prints(again):
            raise NotApplicable("a sample alone gets something else each time")
        beside = _episodes.run(_side_by_side(subject, hook))
        for one, other in zip(_prints(alone), _prints(beside), strict=True):
            if one != other:
                raise CheckFailed(
                    f"{hook}: a sample got {other:.120} beside others and {one:.120} alone; "
                    f"keep its state in the call, not in the module"
                )


async def _side_by_side(subject: Subject, hook: str) -> list[Any]:
    calls = (_call(subject, hook, *_numbered(hook, n)) for n in range(TOGETHER))
    return list(await asyncio.gather(*calls, return_exceptions=True))


def _numbered(hook: str, number: int) -> tuple[Inner, Sample]:
    """What is inside, with an answer that no other sample gets, and its sample."""
    work = _finish if hook == HOOKS[0] else _giving(number / TOGETHER)
    return Inner(work), _sample(hook, number)


def _own(subject: Subject) -> list[str]:
    return [hook for hook in HOOKS if hook in subject.hooks]


def _usable(subject: Subject) -> list[str]:
    """The plugin's wrappers that work around the plainest answer."""
    for hook in _own(subject):
        if isinstance(_outcome(subject, hook, Inner(_plain(hook))), BaseException):
            raise NotApplicable(f"{hook} raises, which wrap.every_answer reports")
    return _own(subject)


def _answers(subject: Subject) -> Iterator[tuple[str, str, Work]]:
    """Each of the plugin's wrappers with each answer, in words and as what gives it."""
    if HOOKS[0] in subject.hooks:
        yield HOOKS[0], "a sample", _finish
        yield HOOKS[0], "two siblings", lambda sample: [_finish(sample), _sibling(sample)]
        yield HOOKS[0], "an aborted sample", lambda one: _finish(one, StopReason.ABORTED)
        yield HOOKS[0], "an untouched trace", lambda one: _finish(one, StopReason.CONTEXT, "")
    for value in REWARDS if HOOKS[1] in subject.hooks else ():
        yield HOOKS[1], repr(value), _giving(value)


def _plain(hook: str) -> Work:
    return _finish if hook == HOOKS[0] else _giving(1.0)


def _giving(value: Any) -> Work:
    return lambda _: value


def _finish(sample: Sample, stop: StopReason = StopReason.STOP, text: str = "4") -> Sample:
    made = make_sample(sample.prompt, response=f"{text}{sample.index}" if text else "")
    sample.trace, sample.stop = made.trace, stop
    return sample


def _sibling(sample: Sample) -> Sample:
    return dataclasses.replace(sample, trace=sample.trace.copy(), metadata={}, fields={})


def _sample(hook: str, index: int = 0) -> Sample:
    prompt = samples.prompt(index)
    if hook == HOOKS[0]:
        return Sample(index, index, prompt)
    return make_sample(prompt, response=str(index + 1), index=index, group_index=index)


async def _call(subject: Subject, hook: str, inner: Inner, given: Sample | None = None) -> Any:
    given = _sample(hook) if given is None else given
    ctx = subject.context(deadline_s=_episodes.DEADLINE_S, seed=given.index)
    engine = [_engine()] if hook == HOOKS[0] else []
    return await subject.bound(hook)(inner, given, *engine, ctx)


def _outcome(subject: Subject, hook: str, inner: Inner, given: Sample | None = None) -> Any:
    return _episodes.run(_episodes.ended(_call(subject, hook, inner, given)))


async def _cancelled(subject: Subject, hook: str) -> str:
    """What a wrapper did that it must not when it was cancelled, or nothing."""
    inner = Inner(_giving(asyncio.get_running_loop().create_future()))
    work = asyncio.ensure_future(_call(subject, hook, inner))
    await asyncio.wait([work], timeout=1.0)
    if not inner.calls:
        return ""
    if not await _episodes.cancel(work):
        return "it went on"
    return "" if work.cancelled() else f"it ended with {work.exception() or work.result()!r:.120}"


def _engine() -> ScriptedEngine:
    return ScriptedEngine(["ok"])


def _fits(hook: str, found: Any) -> bool:
    if hook == HOOKS[0]:
        several = found if isinstance(found, list) else [found]
        return bool(several) and all(isinstance(one, Sample) for one in several)
    if isinstance(found, bool) or not isinstance(found, float | int | Reward):
        return False
    return math.isfinite(found.value if isinstance(found, Reward) else found)


def _prints(found: list[Any]) -> list[str]:
    """What tells answers apart."""
    return [
        repr([_told(part) for part in (one if isinstance(one, list) else [one])]) for one in found
    ]


def _told(one: Any) -> Any:
    if isinstance(one, Sample):
        return one.stop.value, one.trace.to_list(), one.metadata
    return one
