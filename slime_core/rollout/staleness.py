"""How old the weights are that wrote a group's tokens, and which groups are too old to train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from slime_hookspecs import Group, Sample

from slime_core.rollout.contexts import Scene
from slime_core.rollout.outcomes import Outcome

STALE: Final = "stale"


def tokens_by_version(groups: Iterable[Group]) -> Counter[int]:
    """How many tokens the weights of each version wrote, over samples that are trained on."""
    found: Counter[int] = Counter()
    for group in groups:
        for sample in group.trained:
            for segment in sample.trace.segments:
                if segment.kind == "sampled":
                    found[segment.weight_version] += len(segment.tokens)
    return found


def oldest_token(samples: Iterable[Sample]) -> int | None:
    """Version of the oldest weights that wrote a token of these samples, if any did."""
    return min(
        (
            segment.weight_version
            for sample in samples
            for segment in sample.trace.segments
            if segment.kind == "sampled"
        ),
        default=None,
    )


def unless_stale(outcome: Outcome, oldest_version: int) -> Outcome:
    """The outcome; a group that nothing would be learned from, as older tokens are masked, goes."""
    if outcome.fate != "kept" or not oldest_version:
        return outcome
    versions = tokens_by_version([outcome.group])
    if not versions or max(versions) >= oldest_version:
        return outcome
    return Outcome(outcome.group, "filtered", STALE)


def trainer_version(scene: Scene) -> int:
    """Of the weights that the trainer is about to change in a scene's step.

    Version n + 1 has learned from n steps. 0 is a run that trains nothing.
    """
    return scene.step + 1 if scene.weight_version else 0


def age_metrics(groups: Iterable[Group], version: int) -> dict[str, float]:
    """``staleness/mean`` and ``/max`` in weight versions, and ``/tokens/<age>``: a histogram.

    Args:
        version: Of the weights that the trainer is about to change.
    """
    ages = Counter({version - v: n for v, n in tokens_by_version(groups).items()})
    if not ages:
        return {}
    found = {
        "staleness/mean": sum(age * n for age, n in ages.items()) / ages.total(),
        "staleness/max": float(max(ages)),
    }
    return found | {f"staleness/tokens/{age}": float(n) for age, n in sorted(ages.items())}
