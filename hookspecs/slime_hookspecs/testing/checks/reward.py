"""Reward and group reward: right is high, wrong is low, and nothing else matters."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import inspect
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from slime_hookspecs import promises
from slime_hookspecs.conformance import Example
from slime_hookspecs.errors import SlimeError
from slime_hookspecs.records import Prompt, Reward
from slime_hookspecs.testing import samples
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, check
from slime_hookspecs.testing.subject import Subject

Function: TypeAlias = Callable[[Subject, str], None]

#: Seconds that one response of whatever kind may cost.
LIMIT_S: Final = 2.0
CLOSE: Final = 1e-9

#: Responses that models do write when they are trained for long enough.
PATHOLOGICAL: Final = {
    "nothing": "",
    "blanks": " \n\t\r\u00a0\u200b" * 50,
    "1 MB of one letter": "a" * 1_000_000,
    "1 MB of lines": "Answer: 1\n" * 100_000,
    "nested brackets": "(" * 50_000 + ")" * 50_000,
    "open braces": "\\boxed{" * 10_000,
    "nested lists": "[" * 50_000,
    "unicode": "\u0661\u0662 \U0001d7d9 \u202e321 e\u0301 \ufdfa \U0001f9ee" * 200,
    "NUL": "Answer: 4\x002",
    "not a number": "Answer: NaN",
    "infinity": "Answer: -inf",
    "a long number": "Answer: " + "9" * 5_000,
    "an exponent": "Answer: 1e999",
}

#: Labels that no data source should give.
MALFORMED: Final = (None, {"malformed": [True]}, [[True]])


def both(name: str, *, capability: str | None = None, timeout_s: float = 20.0) -> Any:
    """Registers a check for ``slime_reward`` and one of the same name for the group's reward."""

    def register(function: Function) -> Function:
        for tier in ("reward", "group_reward"):
            hook = f"slime_{tier}"

            def run(subject: Subject, hook: str = hook) -> None:
                function(subject, hook)

            run.__doc__ = inspect.getdoc(function)
            declare = check(
                f"{tier}.{name}", tier, hooks=(hook,), capability=capability, timeout_s=timeout_s
            )
            declare(run)
        return function

    return register


@both("finite")
def finite(subject: Subject, hook: str) -> None:
    """Every reward, and every metric beside it, is a finite number; a group gets one a sample."""
    for prompt, responses in _by_prompt(_examples(subject)):
        values = _raw(subject, hook, prompt, responses)
        for text, value in zip(responses, values, strict=True):
            if wrong := promises.wrong_reward(value):
                which = _kind(subject, prompt, text)
                raise CheckFailed(f"on prompt {prompt.id!r} and {which}: {wrong}")


@both("gold")
def gold(subject: Subject, hook: str) -> None:
    """Right responses get the top of the range."""
    _check_value(subject, hook, _exemplars(subject, "gold"), 1)


@both("bad")
def bad(subject: Subject, hook: str) -> None:
    """Wrong and adversarial responses get the bottom of the range."""
    _check_value(subject, hook, _exemplars(subject, "bad"), 0)


@both("empty")
def empty(subject: Subject, hook: str) -> None:
    """An empty response gets the bottom of the range."""
    prompts = {one.id: one for one, _ in _exemplars(subject, "gold")}
    _check_value(subject, hook, [(one, "") for one in prompts.values()], 0)


@both("in_range")
def in_range(subject: Subject, hook: str) -> None:
    """No response leaves the range that the author gave."""
    low, high = _range(subject)
    for example, value in zip(_flat(subject), _values(subject, hook, _flat(subject)), strict=True):
        if math.isfinite(value) and not low - CLOSE <= value <= high + CLOSE:
            raise CheckFailed(f"{value} is outside {low}..{high} on response {example[1]!r:.80}")


@both("same_in_fresh_process", capability="deterministic", timeout_s=60.0)
def same_in_fresh_process(subject: Subject, hook: str) -> None:
    """Two processes with different hash seeds give the same rewards."""
    first = subject.fresh(measure, [hook, None], hash_seed="1")
    second = subject.fresh(measure, [hook, None], hash_seed="2")
    _compare(subject, first, second, "two processes give different rewards")


@both("order_independent", capability="deterministic", timeout_s=60.0)
def order_independent(subject: Subject, hook: str) -> None:
    """Alone, in a batch, in a shuffled batch and side by side, a response gets the same reward."""
    straight, shuffled = subject.fresh(measure_orders, hook)
    _compare(subject, straight, shuffled, "the order of responses changes their rewards")


@both("no_mutation")
def no_mutation(subject: Subject, hook: str) -> None:
    """A reward changes nothing of the sample: from a worker process it would be lost."""
    for prompt, responses in _by_prompt(_examples(subject)):
        group = samples.group(prompt, responses)
        before = list(map(promises.snapshot, group.samples))
        _quietly(subject, hook, group)
        for values, one in zip(before, group.samples, strict=True):
            if wrong := promises.mutated(values, one):
                raise CheckFailed(wrong)


@both("pathological", timeout_s=30.0)
def pathological(subject: Subject, hook: str) -> None:
    """Very long, deeply nested and strange responses get a finite reward within 2 s each."""
    prompt = subject.prompts[0]
    for what, text in PATHOLOGICAL.items():
        start = time.perf_counter()
        try:
            values = _raw(subject, hook, prompt, [text])
        except CheckFailed as error:
            raise NotApplicable("it does not give one reward a sample") from error
        except Exception as error:
            raise CheckFailed(f"{what}: it raised {subject.told(error, 300)}") from error
        seconds = time.perf_counter() - start
        if seconds > LIMIT_S:
            raise CheckFailed(f"{what}: one response took {seconds:.1f} s; {LIMIT_S:g} are allowed")
        if wrong := promises.wrong_reward(values[0]):
            _must_be_finite(subject, hook)
            raise CheckFailed(f"{what}: {wrong}")


@both("malformed_label")
def malformed_label(subject: Subject, hook: str) -> None:
    """A label that cannot be read is a declared error, not a low reward in silence."""
    low, _ = _range(subject)
    for prompt, response in _exemplars(subject, "gold")[:3]:
        for label in MALFORMED:
            if type(label) is type(prompt.label):
                continue
            broken = dataclasses.replace(prompt, label=label)
            try:
                value = _reward(_raw(subject, hook, broken, [response])[0]).value
            except SlimeError:
                continue
            except Exception as error:
                raise CheckFailed(
                    f"label {label!r} raised {subject.told(error)}; "
                    f"raise a DataError that names the prompt"
                ) from error
            if value <= low + CLOSE:
                raise CheckFailed(
                    f"label {label!r} gave the reward {value}; raise a DataError that names the "
                    f"prompt, for bad data must not look like a bad answer"
                )


def measure(subject: Subject, payload: Sequence[Any]) -> list[float]:
    """Rewards of all examples, for another process to compare."""
    hook, order = payload
    examples = _flat(subject)
    places = range(len(examples)) if order is None else order
    return _values(subject, hook, [examples[place] for place in places])


def measure_orders(subject: Subject, hook: str) -> list[list[float]]:
    """Rewards of all examples one by one, and again shuffled and side by side, in that order."""
    examples = _flat(subject)
    straight = _values(subject, hook, examples)
    order = list(range(len(examples)))
    random.Random(0).shuffle(order)
    found = dict(zip(order, measure(subject, [hook, order]), strict=True))
    shuffled = [found[place] for place in range(len(examples))]
    if hook == "slime_reward" and subject.is_async(hook):
        together = asyncio.run(_side_by_side(subject, hook, examples))
        differs = [a != b for a, b in zip(straight, together, strict=True)]
        shuffled = together if any(differs) else shuffled
    return [straight, shuffled]


async def _side_by_side(subject: Subject, hook: str, examples: Sequence[Example]) -> list[float]:
    bound, context = subject.bound(hook), subject.context()
    made = [samples.sample(prompt, text, i) for i, (prompt, text) in enumerate(examples)]
    answers = await asyncio.gather(*(bound(one, context) for one in made))
    return [_reward(answer).value for answer in answers]


def _check_value(subject: Subject, hook: str, examples: Sequence[Example], end: int) -> None:
    expected = _range(subject)[end]
    for (prompt, text), value in zip(examples, _values(subject, hook, examples), strict=True):
        if abs(value - expected) > 1e-6:
            raise CheckFailed(
                f"the reward is {value}, and {'top' if end else 'bottom'} of the range is "
                f"{expected}\n  on prompt {prompt.id!r} and response {text!r:.120}"
            )


def _compare(subject: Subject, first: Sequence[float], second: Sequence[float], wrong: str) -> None:
    for example, one, other in zip(_flat(subject), first, second, strict=True):
        if repr(one) != repr(other):
            raise CheckFailed(f"{wrong}: {one}, then {other}\n  on response {example[1]!r:.120}")


def _examples(subject: Subject) -> list[Example]:
    """What the author gave, and a few responses of our own to the same prompts."""
    told = subject.conformance
    ours = [
        (prompt, text)
        for prompt in subject.prompts[:2]
        for text in ("", "I do not know.", "Answer: 7", "x" * 200, "42\n\nAnswer: \u221e")
    ]
    return [*told.gold, *told.bad, *ours]


def _must_be_finite(subject: Subject, hook: str) -> None:
    """Leave what is wrong with rewards of plain responses to the check of those."""
    try:
        finite(subject, hook)
    except Exception as error:
        which = f"{hook.removeprefix('slime_')}.finite"
        raise NotApplicable(f"its rewards are not finite, which {which} reports") from error


def _kind(subject: Subject, prompt: Prompt, text: str) -> str:
    """A response in words: whose it is, and how it begins."""
    told = subject.conformance
    for kind in ("gold", "bad"):
        if any(one.id == prompt.id and text == other for one, other in getattr(told, kind)):
            return f"its {kind} response {text!r:.80}"
    return f"the response {text!r:.80}" if text else "an empty response"


def _flat(subject: Subject) -> list[Example]:
    return [(p, text) for p, texts in _by_prompt(_examples(subject)) for text in texts]


def _by_prompt(examples: Sequence[Example]) -> Iterator[tuple[Prompt, list[str]]]:
    prompts = {prompt.id: prompt for prompt, _ in examples}
    for name, prompt in prompts.items():
        yield prompt, [text for other, text in examples if other.id == name]


def _exemplars(subject: Subject, which: str) -> Sequence[Example]:
    found: Sequence[Example] = getattr(subject.conformance, which)
    if not found:
        raise NotApplicable(f"the author gave no {which} responses: Conformance.{which}")
    _range(subject)
    return found


def _range(subject: Subject) -> tuple[float, float]:
    if subject.conformance.reward_range is None:
        raise NotApplicable("the author gave no range: Conformance.reward_range")
    return subject.conformance.reward_range


def _values(subject: Subject, hook: str, examples: Sequence[Example]) -> list[float]:
    """Reward of each example: samples of one prompt are a group, in the order that is given."""
    found: dict[int, float] = {}
    places: dict[str, list[int]] = {}
    for place, (prompt, _) in enumerate(examples):
        places.setdefault(prompt.id, []).append(place)
    if hook == "slime_reward":
        places = {str(place): [place] for place in range(len(examples))}
    for group in places.values():
        texts = [examples[place][1] for place in group]
        answers = _raw(subject, hook, examples[group[0]][0], texts)
        for place, answer in zip(group, answers, strict=True):
            found[place] = _reward(answer).value
    return [found[place] for place in range(len(examples))]


def _raw(subject: Subject, hook: str, prompt: Prompt, responses: Sequence[str]) -> list[Any]:
    """What the hook answers, an answer a response."""
    group = samples.group(prompt, responses)
    if hook == "slime_reward":
        return [subject.call(hook, one, subject.context()) for one in group.samples]
    answers = subject.call(hook, group, subject.context())
    if not isinstance(answers, Sequence) or len(answers) != len(responses):
        raise CheckFailed(
            f"{len(responses)} samples got {answers!r:.200}; give one reward a sample"
        )
    return list(answers)


def _quietly(subject: Subject, hook: str, group: Any) -> None:
    given = group.samples if hook == "slime_reward" else [group]
    for one in given:
        subject.call(hook, one, subject.context())


def _reward(value: Any) -> Reward:
    return copy.copy(value) if isinstance(value, Reward) else Reward(value)
