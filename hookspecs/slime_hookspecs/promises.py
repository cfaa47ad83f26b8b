"""The promises of rollout hooks that one look at one call can break, as pure functions.

The host looks at the first calls of a run with them (``--check-plugins``), and the conformance
suite at calls that it makes. Each returns ``None``, or what is wrong and what would be right, e.g.
``it gave 'good'; it must be a number or a Reward``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from numbers import Real
from typing import Any, Final, TypeAlias

from slime_hookspecs.records import Group, Prompt, Reward, Sample, StopReason, Verdict
from slime_hookspecs.trace import Segment

Written: TypeAlias = tuple[tuple[int, ...], tuple[float, ...]]
"""Tokens that the model wrote in one answer, and their log-probs."""

#: What a reason of a filter looks like: it becomes the name of a metric.
REASON: Final = re.compile(r"[a-z][a-z0-9_]*")
#: Rounding that a reward may leave its range by.
CLOSE: Final = 1e-9
#: Ends of an episode in which the model wrote something.
WROTE: Final = frozenset({StopReason.STOP, StopReason.LENGTH})


def wrong_answer(answer: Any) -> str | None:
    """``slime_generate`` returns a sample, or several that share no object and no trace."""
    samples = answer if isinstance(answer, list) else [answer]
    if not samples or not all(isinstance(one, Sample) for one in samples):
        return f"it returned {answer!r:.80}; it must be the sample or a list of samples"
    if len({id(one) for one in samples}) < len(samples):
        return f"the same sample is in the list of {len(samples)} more than once; return each once"
    if len({id(one.trace) for one in samples}) < len(samples):
        return "two samples share one trace; branch with trace.copy()"
    return None


def wrong_episode(before: Sequence[Segment], sample: Sample) -> str | None:
    """A sample that ended says why, and holds what the model wrote as it wrote it.

    Args:
        before: Segments of its trace when generation began: none, or those of a first attempt.
        sample: What ``slime_generate`` returned.
    """
    if sample.stop is StopReason.PENDING:
        return "it left sample.stop unset; set it to why generation ended"
    return (
        _wrong_order(before, sample.trace.segments)
        or _wrong_logprobs(sample.trace.segments)
        or _nothing_to_learn(sample)
        or _not_json("sample.metadata", sample.metadata)
    )


def wrong_sampled(segments: Sequence[Segment], written: Sequence[Written]) -> str | None:
    """Tokens that count as sampled are those that the served model wrote, with its log-probs.

    Args:
        segments: New segments of a trace.
        written: What the model wrote meanwhile, answer by answer. A trace may hold a part of an
            answer, never tokens that stand in none.
    """
    for segment in segments:
        if segment.kind == "sampled" and not any(_holds(one, segment) for one in written):
            few = ", ".join(map(str, segment.tokens[:8]))
            return (
                f"{len(segment.tokens)} tokens are marked as sampled ({few}, ...) and the model "
                "did not write them, or with other log-probs; what tools and environments say "
                "goes into trace.append_observed()"
            )
    return None


def _holds(written: Written, segment: Segment) -> bool:
    tokens, logprobs = written
    size = len(segment.tokens)
    return any(
        tokens[at : at + size] == segment.tokens
        and all(map(math.isclose, logprobs[at : at + size], segment.logprobs))
        for at in range(len(tokens) - size + 1)
        if tokens[at] == segment.tokens[0]
    )


def wrong_reward(value: Any, bounds: tuple[float, float] | None = None) -> str | None:
    """A reward, and every metric beside it, is a finite number, within ``bounds`` if given."""
    if isinstance(value, bool) or not isinstance(value, float | int | Reward):
        return f"it gave {value!r:.80}; it must be a number or a Reward"
    numbers = _numbers(value if isinstance(value, Reward) else Reward(value))
    for name, number in numbers:
        if not isinstance(number, Real) or not math.isfinite(number):
            return f"its {name} is {number!r:.80}; it must be a finite number"
    reward = value.value if isinstance(value, Reward) else value
    if bounds is not None and not bounds[0] - CLOSE <= reward <= bounds[1] + CLOSE:
        return f"its value {reward} is outside {bounds[0]}..{bounds[1]}"
    return None


def wrong_rewards(values: Any, count: int) -> str | None:
    """A group's reward is a sequence of rewards, one for each of ``count`` samples."""
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != count:
        return f"it gave {values!r:.80}; it must be one value for each of {count} samples"
    return next(filter(None, map(wrong_reward, values)), None)


def wrong_verdict(verdict: Any) -> str | None:
    """A filter answers with a verdict, whose ``keep`` is true or false."""
    if not isinstance(verdict, Verdict) or not isinstance(verdict.keep, bool):
        return f"it returned {verdict!r:.80}; it must be a Verdict: KEEP or Verdict(False, reason)"
    return None


def wrong_reason(verdict: Verdict) -> str | None:
    """What is left out is left out for a reason in snake_case, which metrics count."""
    for reason in verdict.rejected.values() if verdict.keep else [verdict.reason]:
        if not (isinstance(reason, str) and REASON.fullmatch(reason)):
            return f"the reason is {reason!r}; use a word like 'zero_variance'"
    return None


def wrong_rejected(group: Group, verdict: Verdict) -> str | None:
    """A filter rejects scored samples of the group that it was given, by their index."""
    scored = sorted(sample.index for sample in group.scored)
    if not isinstance(verdict.rejected, Mapping):
        return f"rejected is {verdict.rejected!r:.80}; it must map Sample.index to a reason"
    if unknown := [index for index in verdict.rejected if index not in scored]:
        return f"it rejects {unknown}; the group's scored samples have the indices {scored}"
    return None


def wrong_advantages(group: Group, values: Any) -> str | None:
    """An advantage for each scored sample, in their order, all of them finite numbers."""
    count = len(group.scored)
    if not hasattr(values, "__len__") or len(values) != count:
        found = f"{len(values)} advantages" if hasattr(values, "__len__") else f"{values!r:.80}"
        return f"it gave {found} for {count} scored samples; give one for each of group.scored"
    for place, value in enumerate(values):
        if not isinstance(value, Real) or not math.isfinite(value):
            return f"advantage {place} is {value!r:.80}; it must be a finite number"
    return None


def wrong_prompts(prompts: Any, count: int, seen: MutableMapping[str, str]) -> str | None:
    """``take(count)`` gives prompts of JSON values, and an id means one prompt.

    Args:
        prompts: What it gave.
        count: What it was asked for.
        seen: Contents of earlier prompts by id; those of ``prompts`` are added.
    """
    if not isinstance(prompts, Sequence) or not all(isinstance(one, Prompt) for one in prompts):
        return f"take({count}) gave {prompts!r:.80}; it must give a sequence of Prompts"
    if len(prompts) > count:
        return f"take({count}) gave {len(prompts)} prompts; it must give no more than asked for"
    return next(filter(None, (_wrong_prompt(one, seen) for one in prompts)), None)


def snapshot(sample: Sample) -> dict[str, Any]:
    """What a sample holds, to compare with later by ``mutated``. Cheap: nothing is copied."""
    names = (name for name in Sample.__slots__ if name != "trace")
    return {**{name: repr(getattr(sample, name)) for name in names}, "trace": sample.trace.segments}


def mutated(before: Mapping[str, Any], sample: Sample) -> str | None:
    """A hook that judges a sample changes nothing of it.

    Args:
        before: Its ``snapshot`` from before the call.
        sample: The sample now.
    """
    now = snapshot(sample)
    fields = [name for name, value in before.items() if now[name] != value]
    if not fields:
        return None
    return f"it changed {', '.join(fields)} of sample {sample.index}; return what you find instead"


def mutated_group(
    members: Sequence[Sample], before: Sequence[Mapping[str, Any]], group: Group
) -> str | None:
    """A hook that judges a group changes neither its list nor its samples.

    Args:
        members: The samples of the group before the call.
        before: A ``snapshot`` of each.
        group: The group now.
    """
    if list(map(id, members)) != list(map(id, group.samples)):
        return "it changed the group's list of samples; sort or cut a copy"
    return next(filter(None, map(mutated, before, members)), None)


def changed_prompt(before: str, prompt: Prompt) -> str | None:
    """All samples of a group share their prompt, so it stays as it was.

    Args:
        before: ``repr`` of the prompt before the call.
        prompt: The prompt now.
    """
    if repr(prompt) == before:
        return None
    return f"it changed sample.prompt to {prompt!r:.120}; copy the messages before you add to them"


def called_again(calls: int) -> str | None:
    """A wrapper calls what is inside it at most once a sample."""
    return f"it called call_next {calls} times for one sample; call it once" if calls > 1 else None


def not_json(prompt: Prompt) -> str | None:
    """A prompt is JSON values: saved rollouts and other processes read it as it was."""
    names = ("messages", "label", "metadata", "tools")
    wrongs = (_not_json(f"prompt {prompt.id!r}: {n}", getattr(prompt, n)) for n in names)
    return next(filter(None, wrongs), None)


def survives_json(value: Any) -> bool:
    """Whether JSON gives the same value back."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def _wrong_order(before: Sequence[Segment], now: Sequence[Segment]) -> str | None:
    if _tokens(now)[: len(_tokens(before))] != _tokens(before):
        return "the trace does not begin with what it held before; a trace only grows"
    if now and now[0].kind != "prompt":
        return f"the trace begins with {now[0].kind} tokens; begin it with append_prompt()"
    return None


def _wrong_logprobs(segments: Iterable[Segment]) -> str | None:
    for segment in segments:
        for value in segment.logprobs:
            if not -math.inf < value <= 0.0:
                return f"a sampled token has the log-prob {value}; it must be finite and at most 0"
    return None


def _nothing_to_learn(sample: Sample) -> str | None:
    if sample.stop not in WROTE or any(s.kind == "sampled" for s in sample.trace.segments):
        return None
    return (
        f"sample.stop is {sample.stop.name} and no token is marked as sampled; "
        "use engine.generate, or append_sampled()"
    )


def _not_json(what: str, value: Any) -> str | None:
    if survives_json(value):
        return None
    return f"{what} is {value!r:.120}, which is not the same after a round trip through JSON"


def _wrong_prompt(one: Prompt, seen: MutableMapping[str, str]) -> str | None:
    if not isinstance(one.id, str) or not one.id:
        return f"an id is {one.id!r:.80}; it must be a text"
    content = repr((one.messages, one.label, one.metadata, one.tools))
    if seen.setdefault(one.id, content) != content:
        return f"two different prompts have the id {one.id!r}; an id means one prompt"
    return not_json(one)


def _numbers(reward: Reward) -> Iterator[tuple[str, Any]]:
    yield "value", reward.value
    yield from reward.metrics.items()


def _tokens(segments: Iterable[Segment]) -> list[int]:
    return [token for segment in segments for token in segment.tokens]
