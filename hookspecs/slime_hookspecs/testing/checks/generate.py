"""Generate: an episode answers, keeps its tokens, and says why it ended."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from math import isclose
from typing import Any, Final

from slime_hookspecs.records import Sample, StopReason
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, _episodes, check
from slime_hookspecs.testing.checks._episodes import episode, episodes
from slime_hookspecs.testing.checks.data_source import survives_json
from slime_hookspecs.testing.kit.engine import ScriptedEngine
from slime_hookspecs.testing.kit.faults import Abort, NewWeights
from slime_hookspecs.testing.subject import Subject
from slime_hookspecs.trace import Segment

HOOKS: Final = ("slime_generate",)
CLOSE: Final = 1e-3
#: Tokens that are left to the model where its context is nearly full.
SHORT_OF: Final = 6
#: Calls to an engine after which an episode is taken for endless.
ENDLESS: Final = 200


@check("generate.answers", "generate", hooks=HOOKS)
def answers(subject: Subject) -> None:
    """Every prompt gets the sample back, or a list of samples, without an exception."""
    for prompt in _episodes.prompts(subject):
        work = _episodes.attempt(subject, _episodes.sample(prompt), _episodes.engine(subject))
        answer = _episodes.run(_episodes.ended(work))
        if isinstance(answer, Exception):
            raise CheckFailed(
                f"it raised {subject.told(answer)}\n  on prompt {prompt.id!r}"
                f"{_unserved(subject, answer)}"
            ) from answer
        found = answer if isinstance(answer, list) else [answer]
        if not found or not all(isinstance(one, Sample) for one in found):
            raise CheckFailed(f"it returned {answer!r:.120}; return the sample or a list of them")


@check("generate.stop_reason", "generate", hooks=HOOKS)
def stop_reason(subject: Subject) -> None:
    """``sample.stop`` says why generation ended, and a turn that was cut short is no ``STOP``."""
    short = [
        episode(subject, prompt, _episodes.engine(subject, max_new_tokens=2))
        for prompt in _episodes.prompts(subject)
    ]
    for one in (*episodes(subject), *short):
        last = one.engine.written[-1].stop if one.engine.written else None
        for sample in one.samples:
            if not isinstance(sample.stop, StopReason) or sample.stop is StopReason.PENDING:
                raise CheckFailed(
                    f"sample.stop is {sample.stop!r}; set it to what engine.generate returns"
                )
            if last is StopReason.LENGTH and sample.stop is StopReason.STOP:
                raise CheckFailed(
                    "the token budget cut the last turn short, and sample.stop is STOP; "
                    "set it to what engine.generate returns"
                )


@check("generate.prompt_first", "generate", hooks=HOOKS)
def prompt_first(subject: Subject) -> None:
    """A trace begins with the prompt's tokens."""
    for _, sample in _all_samples(subject):
        if sample.trace.segments and not sample.trace.prompt_length:
            raise CheckFailed(
                f"{sample.trace!r} begins without a prompt; "
                f"append_prompt(engine.render(prompt.messages, prompt.tools)) comes first"
            )


@check("generate.prompt_once", "generate", hooks=HOOKS)
def prompt_once(subject: Subject) -> None:
    """The prompt is not in the trace twice, even after an attempt that wrote nothing."""
    for prompt in _episodes.prompts(subject):
        engine = _episodes.engine(subject, Abort(after_tokens=0))
        rendered = engine.tokenizer.render(prompt.messages, prompt.tools)
        found = list(episode(subject, prompt).samples)
        sample = _episodes.sample(prompt)
        _episodes.run(_episodes.ended(_episodes.attempt(subject, sample, engine)))
        sample.stop = StopReason.PENDING
        _episodes.run(_episodes.ended(_episodes.attempt(subject, sample, engine)))
        for one in (*found, sample):
            given = one.trace.tokens[: one.trace.prompt_length]
            if rendered and given[: 2 * len(rendered)] == rendered * 2:
                raise CheckFailed(
                    "the prompt is in the trace twice; append it to an empty one only"
                )


@check("generate.keeps_prompt", "generate", hooks=HOOKS)
def keeps_prompt(subject: Subject) -> None:
    """``sample.prompt`` is left as it was: all samples of a group share it."""
    for prompt in _episodes.prompts(subject):
        sample = _episodes.sample(prompt)
        before = copy.deepcopy(sample.prompt)
        work = _episodes.attempt(subject, sample, _episodes.engine(subject))
        _episodes.run(_episodes.ended(work))
        if sample.prompt != before:
            raise CheckFailed(
                f"it changed sample.prompt to {sample.prompt!r:.200}; copy the messages "
                f"before you add to them"
            )


@check("generate.sampled_is_marked", "generate", hooks=HOOKS)
def sampled_is_marked(subject: Subject) -> None:
    """What the model wrote is in a trace as sampled: otherwise nothing is learnt from it."""
    for one in episodes(subject):
        wrote = any(turn.tokens for turn in one.engine.written)
        if wrote and not any(sample.trace.sampled_length for sample in one.samples):
            raise CheckFailed(
                f"the model wrote, and no token of {one.samples[0].trace!r} is marked as sampled; "
                f"use engine.generate, or append_sampled()"
            )


@check("generate.mask_on_sampled_only", "generate", hooks=HOOKS)
def mask_on_sampled_only(subject: Subject) -> None:
    """Tokens that count as sampled are those that the engine wrote, in its order."""
    for engine, segment in _sampled(subject):
        if not any(_matches(engine, segment)):
            raise CheckFailed(
                f"{engine.tokenizer.show(segment.tokens)!r:.120} is marked as sampled, and the "
                f"engine did not write it; tool output goes into append_observed(), and text is "
                f"never made into tokens again"
            )


@check("generate.logprobs", "generate", hooks=HOOKS)
def logprobs(subject: Subject) -> None:
    """Log-probs of sampled tokens are those that the engine gave with them."""
    for engine, segment in _sampled(subject):
        given = [[row[1] for row in rows] for rows in _matches(engine, segment)]
        if given and not any(_close(one, segment.logprobs) for one in given):
            raise CheckFailed(
                f"{engine.tokenizer.show(segment.tokens)!r:.60} came with the log-probs "
                f"{given[0][:3]} and is kept with {list(segment.logprobs[:3])}"
            )


@check("generate.weight_versions", "generate", hooks=HOOKS)
def weight_versions(subject: Subject) -> None:
    """Tokens keep the weight version that wrote them when it changes in mid-episode."""
    for prompt in _episodes.prompts(subject):
        engine = _episodes.engine(subject, NewWeights(call=None))
        for sample in episode(subject, prompt, engine).samples:
            for segment in _sampled_of(sample):
                given = {row[2] for rows in _matches(engine, segment) for row in rows}
                if given and segment.weight_version not in given:
                    raise CheckFailed(
                        f"weights of version {min(given)} wrote tokens that are kept with version "
                        f"{segment.weight_version}; take it from the answer, not from before"
                    )


@check("generate.append_only", "generate", hooks=HOOKS)
def append_only(subject: Subject) -> None:
    """What the model was asked to continue is the beginning of a trace, token for token."""
    for one in episodes(subject):
        traces = [sample.trace.tokens for sample in one.samples]
        for turn in one.engine.written:
            asked = list(turn.asked)
            if not any(tokens[: len(asked)] == asked for tokens in traces):
                raise CheckFailed(
                    f"the model was asked to continue {len(asked)} tokens that are not the "
                    f"beginning of any trace that came back; a trace only grows"
                )


@check("generate.json_metadata", "generate", hooks=HOOKS)
def json_metadata(subject: Subject) -> None:
    """What it leaves in ``sample.metadata`` is JSON values: saved rollouts hold them."""
    for _, sample in _all_samples(subject):
        if not survives_json(sample.metadata):
            raise CheckFailed(
                f"sample.metadata is {sample.metadata!r:.200}, which is not the same after a "
                f"round trip through JSON"
            )


@check("generate.full_context", "generate", hooks=HOOKS)
def full_context(subject: Subject) -> None:
    """An episode ends when the model's context is full, and does not ask on and on."""
    for prompt in _episodes.prompts(subject):
        episode(subject, prompt)
        length = len(_episodes.engine(subject).render(prompt.messages, prompt.tools)) + SHORT_OF
        silent = _episodes.Silent(call=ENDLESS)
        engine = _episodes.engine(subject, silent, context_length=length)
        work = _episodes.attempt(subject, _episodes.sample(prompt), engine)
        answer = _episodes.run(_or_endless(subject, work, silent))
        full = any(turn.stop is StopReason.CONTEXT for turn in engine.written)
        for sample in _episodes.samples_of(answer) if full else ():
            if sample.stop in (StopReason.STOP, StopReason.PENDING):
                raise CheckFailed(
                    f"the context was full, and sample.stop is {sample.stop.name}; "
                    f"set it to what engine.generate returns"
                )


@check("generate.takes_turns", "generate", hooks=HOOKS, capability="multi_turn")
def takes_turns(subject: Subject) -> None:
    """With the author's replies an episode takes more than one turn, else none is checked."""
    if not any(len(one.engine.written) > 1 for one in episodes(subject)):
        raise CheckFailed(
            "it is multi_turn, and no episode took more than one turn; give replies that need "
            "a second with Conformance.replies"
        )


@check("generate.samples_do_not_mix", "generate", hooks=HOOKS)
def samples_do_not_mix(subject: Subject) -> None:
    """Samples side by side get what each gets alone."""
    given = [prompt for prompt in _episodes.prompts(subject) for _ in range(3)]
    alone = [_traces_alone(subject, given) for _ in range(2)]
    if alone[0] != alone[1]:
        raise NotApplicable("a sample alone gets something else each time")

    async def together() -> list[Any]:
        work = (
            _episodes.attempt(subject, _episodes.sample(prompt, index), _episodes.engine(subject))
            for index, prompt in enumerate(given)
        )
        return list(await asyncio.gather(*work, return_exceptions=True))

    for index, (answer, expected) in enumerate(
        zip(_episodes.run(together()), alone[0], strict=True)
    ):
        if isinstance(answer, BaseException):
            raise CheckFailed(f"beside others it raised {subject.told(answer)}") from answer
        found = [one.trace for one in _episodes.samples_of(answer)]
        if found != expected:
            raise CheckFailed(
                f"sample {index} got {found!r:.120} beside others and {expected!r:.120} alone; "
                f"keep an episode's state in the call, not in the module"
            )


@check("generate.siblings_distinct", "generate", hooks=HOOKS, capability="fan_out")
def siblings_distinct(subject: Subject) -> None:
    """Samples returned for one are objects of their own, with traces of their own."""
    for one in episodes(subject):
        found = one.samples
        if len({id(sample) for sample in found}) < len(found):
            raise CheckFailed(f"the same sample is in the list of {len(found)} more than once")
        if len({id(sample.trace) for sample in found}) < len(found):
            raise CheckFailed("two samples share one trace; branch with trace.copy()")


def _unserved(subject: Subject, error: Exception) -> str:
    """What to do where the plugin asks for a server that the suite does not start for it."""
    chain = (error, error.__cause__)
    served = "needs_network" in subject.conformance.capabilities
    if served or not any(isinstance(one, OSError) for one in chain):
        return ""
    return "\n  where it asks engine.openai_base_url, declare that it is needs_network"


def _all_samples(subject: Subject) -> Iterator[tuple[ScriptedEngine, Sample]]:
    for one in episodes(subject):
        for sample in one.samples:
            yield one.engine, sample


def _sampled(subject: Subject) -> Iterator[tuple[ScriptedEngine, Segment]]:
    for engine, sample in _all_samples(subject):
        for segment in _sampled_of(sample):
            yield engine, segment


def _sampled_of(sample: Sample) -> list[Segment]:
    return [segment for segment in sample.trace.segments if segment.kind == "sampled"]


def _matches(engine: ScriptedEngine, segment: Segment) -> Iterator[list[tuple[int, float, int]]]:
    """Everywhere that the engine wrote a segment's tokens: token, log-prob and version of each."""
    rows = [
        (token, value, turn.weight_version)
        for turn in engine.written
        for token, value in zip(turn.tokens, turn.logprobs, strict=True)
    ]
    size = len(segment.tokens)
    tokens = tuple(row[0] for row in rows)
    for start in range(len(rows) - size + 1):
        if tokens[start : start + size] == segment.tokens:
            yield rows[start : start + size]


def _close(given: list[float], kept: tuple[float, ...]) -> bool:
    return all(isclose(one, two, abs_tol=CLOSE) for one, two in zip(given, kept, strict=True))


def _traces_alone(subject: Subject, given: list[Any]) -> list[list[Any]]:
    return [
        [sample.trace for sample in episode(subject, prompt, index=index).samples]
        for index, prompt in enumerate(given)
    ]


async def _or_endless(subject: Subject, work: Any, silent: _episodes.Silent) -> Any:
    task = asyncio.ensure_future(work)
    began = asyncio.ensure_future(silent.began.wait())
    await asyncio.wait(
        [task, began], timeout=_episodes.DEADLINE_S, return_when=asyncio.FIRST_COMPLETED
    )
    began.cancel()
    if not task.done():
        await _episodes.cancel(task)
        raise CheckFailed(
            "the model's context was full, and it went on to ask; end the episode where "
            "engine.generate returns CONTEXT"
        )
    if error := task.exception():
        raise CheckFailed(
            f"the model's context was full, and it raised {subject.told(error)}"
        ) from error
    return task.result()
