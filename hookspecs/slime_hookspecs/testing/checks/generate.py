"""Generate: an episode keeps its tokens, ends for a reason, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import copy
import os
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from slime_hookspecs.engine import Engine
from slime_hookspecs.errors import SlimeError
from slime_hookspecs.records import Prompt, Sample, StopReason
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, check
from slime_hookspecs.testing.kit.clock import VirtualClock
from slime_hookspecs.testing.kit.engine import ScriptedEngine
from slime_hookspecs.testing.kit.faults import Abort, Fault, Timeout
from slime_hookspecs.testing.kit.http import serve
from slime_hookspecs.testing.subject import Subject
from slime_hookspecs.trace import NO_VERSION, Trace

T = TypeVar("T")

HOOKS: Final = ("slime_generate",)
REPLIES: Final = ("The answer is 4.", "Answer: 4", "I am done. Answer: 4")
DEADLINE_S: Final = 60.0
#: Await points after which an episode is cancelled; short episodes end before the last of them.
CANCEL_AT: Final = range(12)


@check("generate.answers", "generate", hooks=HOOKS)
def answers(subject: Subject) -> None:
    """Every prompt gets the sample back, or a list of samples, without an exception."""
    for prompt in subject.prompts:
        try:
            answer = _run(_raw(subject, _sample(prompt), _engine(subject)))
        except Exception as error:
            raise CheckFailed(
                f"it raised {type(error).__name__}: {error}\n  on prompt {prompt.id!r}"
            ) from error
        samples = answer if isinstance(answer, list) else [answer]
        if not samples or not all(isinstance(one, Sample) for one in samples):
            raise CheckFailed(f"it returned {answer!r:.120}; return the sample or a list of them")


@check("generate.stop_reason", "generate", hooks=HOOKS)
def stop_reason(subject: Subject) -> None:
    """``sample.stop`` says why generation ended."""
    for one in _finished(subject):
        if not isinstance(one.stop, StopReason) or one.stop is StopReason.PENDING:
            raise CheckFailed(f"sample.stop is {one.stop!r}; set it to what engine.generate returns")


@check("generate.prompt_first", "generate", hooks=HOOKS)
def prompt_first(subject: Subject) -> None:
    """A trace begins with the prompt's tokens."""
    for one in _finished(subject):
        if one.trace.segments and not one.trace.prompt_length:
            raise CheckFailed(
                f"{one.trace!r} begins without a prompt; "
                f"append_prompt(engine.render(prompt.messages, prompt.tools)) comes first"
            )


@check("generate.mask_on_sampled_only", "generate", hooks=HOOKS)
def mask_on_sampled_only(subject: Subject) -> None:
    """Tokens that count as sampled are those that the engine wrote, with its log-probs."""
    for prompt in subject.prompts:
        engine = _Recorder(_engine(subject))
        for one in _episode(subject, prompt, engine):
            for segment in one.trace.segments:
                if segment.kind == "sampled" and not engine.wrote(segment.tokens, segment.logprobs):
                    text = engine.decode(segment.tokens)
                    raise CheckFailed(
                        f"{text!r:.120} is marked as sampled, and the engine did not write it; "
                        f"tool output goes into append_observed()"
                    )


@check("generate.append_only", "generate", hooks=HOOKS)
def append_only(subject: Subject) -> None:
    """What the trace held when the model was asked stays in it, token for token."""
    for prompt in subject.prompts:
        engine = _Recorder(_engine(subject))
        traces = [one.trace.tokens for one in _episode(subject, prompt, engine)]
        for asked in engine.asked:
            if not any(tokens[: len(asked)] == asked for tokens in traces):
                raise CheckFailed(
                    f"the model was asked to continue {len(asked)} tokens that are not the "
                    f"beginning of any trace that came back; a trace only grows"
                )


@check("generate.renders_prompt_once", "generate", hooks=HOOKS)
def renders_prompt_once(subject: Subject) -> None:
    """The prompt is not in the trace twice."""
    for prompt in subject.prompts:
        engine = _engine(subject)
        rendered = engine.tokenizer.render(prompt.messages, prompt.tools)
        for one in _episode(subject, prompt, engine):
            given = one.trace.tokens[: one.trace.prompt_length]
            if rendered and given[: 2 * len(rendered)] == rendered * 2:
                raise CheckFailed("the prompt is in the trace twice; append it to an empty one only")


@check("generate.deadline", "generate", hooks=HOOKS)
def deadline(subject: Subject) -> None:
    """A silent engine makes no episode outlive its deadline, once the core cancels it."""
    engine = _engine(subject, Timeout(call=None))

    async def limited() -> None:
        work = asyncio.ensure_future(_raw(subject, _sample(subject.prompts[0]), engine))
        done, _ = await asyncio.wait([work], timeout=DEADLINE_S)
        if done:
            work.exception()
            return
        work.cancel()
        done, _ = await asyncio.wait([work], timeout=DEADLINE_S)
        if not done:
            raise CheckFailed(
                f"it went on for {DEADLINE_S:g} s after the core cancelled it at its deadline"
            )

    _usable(subject)
    _run(limited())


@check("generate.cancellation", "generate", hooks=HOOKS)
def cancellation(subject: Subject) -> None:
    """Cancelled at any await point, ``CancelledError`` passes through."""
    _usable(subject)
    for after in CANCEL_AT:
        _run(_cancel(subject, after))


async def _cancel(subject: Subject, after: int) -> None:
    work = asyncio.ensure_future(_raw(subject, _sample(subject.prompts[0]), _engine(subject)))
    for _ in range(after):
        await asyncio.sleep(0)
    if work.done() or not work.cancel():
        return
    await asyncio.wait([work], timeout=DEADLINE_S)
    if work.done() and not work.cancelled():
        what = repr(work.exception() or work.result())
        raise CheckFailed(
            f"cancelled after {after} steps of the event loop, it ended with {what:.120}; "
            f"let CancelledError pass"
        )


@check("generate.leaves_nothing", "generate", hooks=HOOKS)
def leaves_nothing(subject: Subject) -> None:
    """No task, thread or process is left when an episode is over."""
    _usable(subject)
    threads, children = set(threading.enumerate()), _children()

    async def watch() -> list[str]:
        engine = _engine(subject)
        before = asyncio.all_tasks()
        await _raw(subject, _sample(subject.prompts[0]), engine)
        await asyncio.sleep(0)
        return [one.get_coro().__qualname__ for one in asyncio.all_tasks() - before]  # type: ignore[union-attr]

    if tasks := _run(watch()):
        raise CheckFailed(f"it left tasks running: {', '.join(tasks)}; await or cancel them")
    started = [one for one in threading.enumerate() if one not in threads]
    if left := [one.name for one in started if not one.name.startswith("asyncio_")]:
        raise CheckFailed(f"it left threads running: {', '.join(left)}")
    if processes := _children() - children:
        raise CheckFailed(f"it left {len(processes)} processes running; wait for them")


@check("generate.continues_after_abort", "generate", hooks=HOOKS)
def continues_after_abort(subject: Subject) -> None:
    """An aborted episode is ``ABORTED``, and a second attempt goes on from its trace."""
    for prompt in subject.prompts:
        sample = _sample(prompt)
        engine = _engine(subject, Abort(after_tokens=3))
        first = _once(subject, sample, engine)
        if not engine.calls or not any(one.path == "generate" for one in engine.calls):
            raise NotApplicable("it does not ask the engine to generate")
        if len(first) != 1 or first[0] is not sample:
            raise NotApplicable("it returns other samples, which have no second attempt")
        if sample.stop is not StopReason.ABORTED:
            raise CheckFailed(f"the engine aborted, and sample.stop is {sample.stop.value!r}")
        left = sample.trace.tokens
        sample.stop = StopReason.PENDING
        last = _once(subject, sample, engine)[0]
        if last.trace.tokens[: len(left)] != left or len(last.trace) <= len(left):
            raise CheckFailed(
                f"an interrupted attempt left {len(left)} tokens, and the second attempt "
                f"{'lost them' if last.trace.tokens[: len(left)] != left else 'added none'}; "
                f"continue from sample.trace where it is not empty"
            )


@check("generate.samples_do_not_mix", "generate", hooks=HOOKS)
def samples_do_not_mix(subject: Subject) -> None:
    """Samples side by side get what each gets alone."""
    prompts = [prompt for prompt in subject.prompts for _ in range(3)]
    alone = [
        [one.trace for one in _episode(subject, prompt, _engine(subject), index)]
        for index, prompt in enumerate(prompts)
    ]

    async def together() -> list[Any]:
        work = (
            _raw(subject, _sample(prompt, index), _engine(subject))
            for index, prompt in enumerate(prompts)
        )
        return list(await asyncio.gather(*work))

    for index, (answer, expected) in enumerate(zip(_run(together()), alone, strict=True)):
        found = [one.trace for one in (answer if isinstance(answer, list) else [answer])]
        if found != expected:
            raise CheckFailed(
                f"sample {index} got {found!r:.120} beside others and {expected!r:.120} alone; "
                f"keep an episode's state in the call, not in the module"
            )


@check("generate.siblings_distinct", "generate", hooks=HOOKS, capability="fan_out")
def siblings_distinct(subject: Subject) -> None:
    """Samples returned for one are objects of their own, with traces of their own."""
    for prompt in subject.prompts:
        found = _episode(subject, prompt, _engine(subject))
        if len({id(one) for one in found}) < len(found):
            raise CheckFailed(f"the same sample is in the list of {len(found)} more than once")
        if len({id(one.trace) for one in found}) < len(found):
            raise CheckFailed("two samples share one trace; branch with trace.copy()")


class _Recorder:
    """Passes everything on to an engine, and keeps what was asked and written."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine
        self.asked: list[list[int]] = []
        self._tokens: list[int] = []
        self._posted = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def generate(self, trace: Trace, sampling: Any = None) -> StopReason:
        """Note the trace before, and what it gains."""
        before = trace.tokens
        self.asked.append(before)
        stop = await self._engine.generate(trace, sampling)
        self._tokens += [*trace.tokens[len(before) :], NO_VERSION]
        return stop

    async def post(self, path: str, body: Any) -> dict[str, Any]:
        """Note what came back."""
        answer = await self._engine.post(path, body)
        self._tokens += [*answer.get("output_ids", ()), NO_VERSION]
        return answer

    def wrote(self, tokens: Sequence[int], _: Sequence[float]) -> bool:
        """Whether these tokens came from the engine in this order."""
        if any(one.path.startswith("/v1") for one in self._engine.calls):
            return True
        texts = ",".join(map(str, self._tokens)), ",".join(map(str, tokens))
        return f",{texts[1]}," in f",{texts[0]},"


def _engine(subject: Subject, *faults: Fault) -> ScriptedEngine:
    return ScriptedEngine(list(subject.conformance.replies) or list(REPLIES), faults=faults)


def _sample(prompt: Prompt, index: int = 0) -> Sample:
    return Sample(index, index, copy.deepcopy(prompt))


async def _raw(subject: Subject, sample: Sample, engine: Any) -> Any:
    ctx = subject.context(deadline_s=DEADLINE_S, seed=sample.index)
    async with serve(engine) if "needs_network" in subject.conformance.capabilities else _Nothing():
        return await subject.bound("slime_generate")(sample, engine, ctx)


class _Nothing:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


def _run(work: Coroutine[Any, Any, T]) -> T:
    return VirtualClock().run(work)


def _once(subject: Subject, sample: Sample, engine: Engine | _Recorder) -> list[Sample]:
    try:
        answer = _run(_raw(subject, sample, engine))
    except SlimeError as error:
        raise NotApplicable(f"it raises {error}, which generate.answers reports") from error
    except Exception as error:
        raise NotApplicable("it raises, which generate.answers reports") from error
    found = answer if isinstance(answer, list) else [answer]
    if not found or not all(isinstance(one, Sample) for one in found):
        raise NotApplicable("it returns no sample, which generate.answers reports")
    return found


def _episode(
    subject: Subject, prompt: Prompt, engine: Engine | _Recorder, index: int = 0
) -> list[Sample]:
    return _once(subject, _sample(prompt, index), engine)


def _usable(subject: Subject) -> None:
    _episode(subject, subject.prompts[0], _engine(subject))


def _finished(subject: Subject) -> list[Sample]:
    return [s for one in subject.prompts for s in _episode(subject, one, _engine(subject))]


def _children() -> set[int]:
    found = set()
    for tasks in Path("/proc").glob(f"{os.getpid()}/task/*/children"):
        found |= {int(pid) for pid in tasks.read_text().split()}
    return found
