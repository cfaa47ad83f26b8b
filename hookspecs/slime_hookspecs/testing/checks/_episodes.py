"""Episodes for checks to run: against the scripted engine, on virtual time, alone or broken off."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, final

from slime_hookspecs.errors import SlimeError
from slime_hookspecs.records import Prompt, Sample, StopReason
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable
from slime_hookspecs.testing.kit.clock import VirtualClock
from slime_hookspecs.testing.kit.engine import ScriptedEngine
from slime_hookspecs.testing.kit.faults import Fault, Turn
from slime_hookspecs.testing.kit.http import serve
from slime_hookspecs.testing.subject import Subject

T = TypeVar("T")

#: What the model writes where the author does not say.
REPLIES: Final = ("The answer is 4.", "Answer: 4", "I am done. Answer: 4")
#: Seconds on the virtual clock that an episode may take.
DEADLINE_S: Final = 60.0
#: Prompts that a check tries.
MAX_PROMPTS: Final = 3
TOO_SHORT: Final = "none of its answers is long enough to be cut off"
#: Calls of an episode that a check breaks off, one after another.
MAX_CALLS: Final = 4


@final
@dataclass(frozen=True, slots=True)
class Episode:
    """An episode that is over.

    Attributes:
        prompt: What it answered.
        engine: Who served it.
        samples: What came back.
    """

    prompt: Prompt
    engine: ScriptedEngine
    samples: list[Sample]


@final
@dataclass(frozen=True, slots=True)
class Silent(Fault):
    """The server takes the request and says nothing. ``began`` is set when that happens."""

    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def happen(self, turn: Turn) -> None:
        """Say nothing until the caller is cancelled."""
        self.began.set()
        await asyncio.Event().wait()


def open_data(subject: Subject) -> None:
    """Open the data source, where the plugin has one, as the core does before an episode."""
    if "slime_data_source" in subject.hooks:
        subject.data_source().take(1)


def engine(subject: Subject, *faults: Fault, **facts: Any) -> ScriptedEngine:
    """An engine that writes what the author says the model would."""
    replies = list(subject.conformance.replies) or list(REPLIES)
    return ScriptedEngine(replies, faults=faults, **facts)


def prompts(subject: Subject) -> list[Prompt]:
    """The prompts that a check tries."""
    return subject.prompts[:MAX_PROMPTS]


def sample(prompt: Prompt, index: int = 0) -> Sample:
    """A sample that is not generated yet, with a prompt of its own."""
    return Sample(index, index, copy.deepcopy(prompt))


async def attempt(subject: Subject, given: Sample, served_by: ScriptedEngine) -> Any:
    """What ``slime_generate`` answers, whatever that is."""
    ctx = subject.context(
        deadline_s=DEADLINE_S, seed=given.index, weight_version=served_by.weight_version
    )
    async with _served(subject, served_by):
        return await subject.bound("slime_generate")(given, served_by, ctx)


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, in an event loop of its own and on virtual time."""
    return VirtualClock().run(work)


def samples_of(answer: Any) -> list[Sample]:
    """What ``slime_generate`` answered, as a list.

    Raises:
        NotApplicable: it is no sample, which ``generate.answers`` reports.
    """
    found = answer if isinstance(answer, list) else [answer]
    if not found or not all(isinstance(one, Sample) for one in found):
        raise NotApplicable("it returns no sample, which generate.answers reports")
    return found


def episode(
    subject: Subject, prompt: Prompt, served_by: ScriptedEngine | None = None, index: int = 0
) -> Episode:
    """One whole episode.

    Raises:
        NotApplicable: it raised or returned no sample, which ``generate.answers`` reports.
    """
    served_by = served_by or engine(subject)
    try:
        answer = run(attempt(subject, sample(prompt, index), served_by))
    except Exception as error:
        raise NotApplicable("it raises, which generate.answers reports") from error
    return Episode(prompt, served_by, samples_of(answer))


def episodes(subject: Subject) -> Iterable[Episode]:
    """An episode for each prompt."""
    return (episode(subject, prompt) for prompt in prompts(subject))


def calls_of(subject: Subject, prompt: Prompt) -> range:
    """Numbers of the calls to the engine that an episode makes, ``MAX_CALLS`` of them at most.

    Raises:
        NotApplicable: it makes none.
    """
    count = len(episode(subject, prompt).engine.written)
    if not count:
        raise NotApplicable("it does not ask the engine to generate")
    return range(min(count, MAX_CALLS))


def was_aborted(served_by: ScriptedEngine) -> bool:
    """Whether an answer was cut off; one that ends at once cannot be."""
    return any(turn.stop is StopReason.ABORTED for turn in served_by.written)


async def ended(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns; what it raises is returned too.

    Raises:
        CheckFailed: it hangs, or cancels itself.
    """
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait([task], timeout=DEADLINE_S)
    if not done:
        await cancel(task)
        raise CheckFailed(f"it was not over after {DEADLINE_S:g} s")
    if task.cancelled():
        raise CheckFailed("it ended with a CancelledError that nobody asked for")
    return task.exception() or task.result()


async def cancel(task: asyncio.Future[Any]) -> bool:
    """Cancel as the core does at a deadline; whether it was over within as long again."""
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=DEADLINE_S)
    return bool(done)


async def in_call(
    subject: Subject, prompt: Prompt, call: int
) -> tuple[asyncio.Future[Any], ScriptedEngine]:
    """An episode whose engine is silent in that call, with the engine; or one that is over."""
    silent = Silent(call=call)
    served_by = engine(subject, silent)
    task = asyncio.ensure_future(attempt(subject, sample(prompt), served_by))
    began = asyncio.ensure_future(silent.began.wait())
    await asyncio.wait([task, began], timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
    began.cancel()
    return task, served_by


def wrong_error(answer: Any) -> bool:
    """Whether an engine's failure came out as an exception of another family than slime's."""
    return isinstance(answer, BaseException) and not isinstance(answer, SlimeError)


def _served(subject: Subject, by: ScriptedEngine) -> AbstractAsyncContextManager[Any]:
    wanted = "needs_network" in subject.conformance.capabilities
    return serve(by) if wanted else nullcontext()
