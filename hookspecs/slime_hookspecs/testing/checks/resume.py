"""Resume: another process goes on where this one died."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from slime_hookspecs.records import Prompt, Sample, StopReason
from slime_hookspecs.testing import samples
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, _episodes, check
from slime_hookspecs.testing.checks.data_source import (
    _epoch_length,
    _prints,
    draw,
    opened_again,
    survives_json,
)
from slime_hookspecs.testing.kit.faults import Abort
from slime_hookspecs.testing.raised import ChildRaised
from slime_hookspecs.testing.subject import Subject
from slime_hookspecs.trace import Trace

REWARDS: Final = ("slime_reward", "slime_group_reward")
#: Prompts that were taken and not used when the process died: the core's buffer keeps them.
UNUSED: Final = 3
#: Prompts that ``data_source.same_in_fresh_process`` compares already.
FIRST: Final = 20
#: Prompts that are compared after each restart.
MAX_AFTER: Final = 50


@check("resume.data_source", "resume", hooks=("slime_data_source",), timeout_s=40.0)
def data_source(subject: Subject) -> None:
    """Another process restores the source in mid-epoch and at its end, and goes on exactly."""
    cuts, then = _cuts(subject)
    states = [_saved(subject, cut) for cut in cuts]
    expected = continued(subject, [states, then])
    if expected[1:] != [_after(subject, cut, then) for cut in cuts]:
        raise NotApplicable("data_source.restores says what is wrong")
    try:
        found = subject.fresh(continued, [states, then])
    except ChildRaised as error:
        raise CheckFailed(f"another process could not restore the source: {error}") from error
    if found.pop(0) != expected.pop(0):
        raise NotApplicable("data_source.same_in_fresh_process says what is wrong")
    for cut, one, other in zip(cuts, expected, found, strict=True):
        if one != other:
            place = next(
                (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), -1
            )
            raise CheckFailed(
                f"saved after {cut} prompts and restored by another process, it goes on "
                f"differently: {one[place]} and then {other[place] if other else 'nothing'}"
            )


@check("resume.rewards", "resume", hooks=REWARDS)
def rewards(subject: Subject) -> None:
    """Prompts that were taken before a restart, and not used, get the same rewards after it."""
    if "slime_data_source" not in subject.hooks:
        raise NotApplicable("the plugin has no slime_data_source")
    source = subject.data_source()
    prompts = list(source.take(UNUSED))
    payload = [_as_json(source.state()), _as_json([_row(one) for one in prompts])]
    here, again = (_scores(subject, prompts) for _ in range(2))
    if here != again:
        raise NotApplicable("its rewards are not the same twice")
    there = subject.fresh(scored_there, payload)
    for prompt, one, other in zip(prompts, here, there, strict=True):
        if one != other:
            raise CheckFailed(
                f"prompt {prompt.id!r} got {one}, and after a restart it gets {other}; what a "
                f"reward needs belongs in the prompt, for the prompt alone is kept"
            )


@check("resume.interrupted_episode", "resume", hooks=("slime_generate",))
def interrupted_episode(subject: Subject) -> None:
    """A trace that was cut off becomes, in another process, the trace that it would have been."""
    prompt = subject.prompts[0]
    whole, again = (_episodes.episode(subject, prompt).samples for _ in range(2))
    if len(whole) != 1 or whole[0].trace != again[0].trace:
        raise NotApplicable("an episode has several samples, or is not the same twice")
    calls = _episodes.calls_of(subject, prompt)
    rows = {call: row for call in calls if (row := _interrupted(subject, prompt, call))}
    if not rows:
        raise NotApplicable(_episodes.TOO_SHORT)
    for call, row in rows.items():
        try:
            found = subject.fresh(finished_there, row)
        except ChildRaised as error:
            raise CheckFailed(f"another process could not go on with it: {error}") from error
        expected = [whole[0].trace.tokens, whole[0].trace.loss_mask]
        if found != expected:
            raise CheckFailed(
                f"cut off in call {call} it became {len(found[0])} tokens, and whole it has "
                f"{len(expected[0])}; find out from the trace how far the episode is, in which a "
                f"turn that was cut off and continued is two segments"
            )


def continued(subject: Subject, payload: Sequence[Any]) -> list[list[str]]:
    """Fingerprints of the first prompts, and of those that follow each state."""
    states, then = payload
    found = [draw(subject, FIRST)]
    for text in states:
        source = opened_again(subject)
        source.restore(json.loads(text))
        found.append(_prints(source.take(then)))
    return found


def scored_there(subject: Subject, payload: Sequence[str]) -> list[str]:
    """Rewards of prompts from a checkpoint, in another process that restored the source."""
    state, rows = map(json.loads, payload)
    opened_again(subject).restore(state)
    return _scores(subject, [Prompt(**row) for row in rows])


def finished_there(subject: Subject, row: Mapping[str, Any]) -> list[list[int]]:
    """Tokens and mask of an episode that another process began."""
    _episodes.open_data(subject)
    sample = _episodes.sample(Prompt(**row["prompt"]))
    sample.trace, sample.metadata = Trace.from_list(row["trace"]), row["metadata"]
    work = _episodes.attempt(subject, sample, _episodes.engine(subject))
    trace = _episodes.samples_of(_episodes.run(work))[0].trace
    return [trace.tokens, trace.loss_mask]


def _saved(subject: Subject, cut: int) -> str:
    source = subject.data_source()
    source.take(cut)
    return _as_json(source.state())


def _after(subject: Subject, cut: int, then: int) -> list[str]:
    source = subject.data_source()
    source.take(cut)
    return _prints(source.take(then))


def _interrupted(subject: Subject, prompt: Prompt, call: int) -> dict[str, Any] | None:
    """The sample of an episode that was cut off in a call, as a checkpoint keeps it."""
    engine = _episodes.engine(subject, Abort(after_tokens=1, call=call))
    sample = _episodes.episode(subject, prompt, engine).samples[0]
    if not _episodes.was_aborted(engine):
        return None
    if sample.stop is not StopReason.ABORTED:
        raise NotApplicable("generate.continues_after_abort says what is wrong")
    row = {"prompt": _row(prompt), "trace": sample.trace.to_list(), "metadata": sample.metadata}
    told: dict[str, Any] = json.loads(_as_json(row))
    return told


def _cuts(subject: Subject) -> tuple[list[int], int]:
    """Where to save, and how many prompts to compare."""
    try:
        length = _epoch_length(subject.data_source())
    except NotApplicable:
        return [3, 10], MAX_AFTER
    return [max(1, length // 2), length, length + max(1, length // 2)], min(length, MAX_AFTER) + 1


def _scores(subject: Subject, prompts: Sequence[Prompt]) -> list[str]:
    """Of the label as a response to each prompt, what the plugin's rewards say."""
    found = []
    for number, prompt in enumerate(prompts):
        made: list[Any] = [samples.sample(prompt, str(prompt.label), number)]
        group = samples.group(prompt, [str(prompt.label), ""], number)
        answers = []
        for hook in REWARDS:
            if hook in subject.hooks:
                answers.append(_told(subject, hook, made[0] if hook == REWARDS[0] else group))
        found.append(" and ".join(answers))
    return found


def _told(subject: Subject, hook: str, given: Sample | Any) -> str:
    try:
        return repr(subject.call(hook, given, subject.context()))
    except NotApplicable:
        raise
    except Exception as error:
        return subject.told(error)


def _as_json(value: Any) -> str:
    if not survives_json(value):
        raise NotApplicable("its state or prompts are no JSON values, as other checks say")
    return json.dumps(value)


def _row(prompt: Prompt) -> dict[str, Any]:
    return {name: getattr(prompt, name) for name in Prompt.__slots__}
