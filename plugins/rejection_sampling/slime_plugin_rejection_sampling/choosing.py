"""Which answers to a prompt are accepted, and why the others are not."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Final

from slime_hookspecs import Sample, StopReason

from slime_plugin_rejection_sampling.options import Options

#: An answer that ended so is not what the model meant to say.
CUT_OFF: Final = frozenset({StopReason.LENGTH, StopReason.CONTEXT, StopReason.TIMEOUT})

TRUNCATED: Final = "truncated"
BELOW: Final = "below_threshold"
DUPLICATE: Final = "duplicate"
SURPLUS: Final = "surplus"


def rejected(samples: Sequence[Sample], options: Options) -> dict[int, str]:
    """The answers that are not accepted, ``Sample.index`` to the reason.

    Args:
        samples: Scored answers to one prompt, in any order: the outcome is the same.
        options: What is accepted.
    """
    found: dict[int, str] = {}
    seen: set[Hashable] = set()
    accepted = 0
    for sample in sorted(samples, key=_rank):
        reason = _unfit(sample, options) or _repeats(sample, seen, options)
        if not reason and options.keep and accepted >= options.keep:
            reason = SURPLUS
        if reason:
            found[sample.index] = reason
        else:
            accepted += 1
    return found


def _rank(sample: Sample) -> tuple[float, int, int]:
    """The highest reward first; of equals the fewest tokens, and then the first that was asked."""
    return -_reward(sample), len(sample.trace), sample.index


def _unfit(sample: Sample, options: Options) -> str:
    if options.accept == "threshold" and _reward(sample) < options.threshold:
        return BELOW
    return TRUNCATED if sample.stop in CUT_OFF and not options.truncated else ""


def _repeats(sample: Sample, seen: set[Hashable], options: Options) -> str:
    """Whether the answer was seen before; it is remembered."""
    key = _said(sample)
    if options.distinct and key in seen:
        return DUPLICATE
    seen.add(key)
    return ""


def _said(sample: Sample) -> Hashable:
    """What makes two answers the same: the text of a single turn, every token of several."""
    if any(kind == "observed" for kind in _kinds(sample)):
        return tuple(sample.trace.response_tokens)
    return sample.response.strip()


def _kinds(sample: Sample) -> Iterator[str]:
    return (segment.kind for segment in sample.trace.segments)


def _reward(sample: Sample) -> float:
    return 0.0 if sample.reward is None else sample.reward
