"""What became of a group: kept, filtered, or failed, each with its reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal, final

from slime_hookspecs import Group, Verdict

from slime_core.rollout.blame import reason_of
from slime_core.rollout.episodes import too_long

TOO_LONG: Final = "prompt_too_long"
UNSCORED: Final = "unscored"


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """A group's end.

    Attributes:
        fate: ``kept`` is trained on.
        reason: Of a filter, or the hook that failed; empty for ``kept``.
    """

    group: Group
    fate: Literal["kept", "filtered", "failed"]
    reason: str = ""


def failure(group: Group, context_length: int) -> Outcome | None:
    """The outcome of a group of which no sample was scored, or ``None``."""
    if group.scored:
        return None
    if all(s.error is None and too_long(s, context_length) for s in group.samples):
        return Outcome(group, "failed", TOO_LONG)
    reasons = Counter(reason_of(s.error) for s in group.samples if s.error is not None)
    return Outcome(group, "failed", reasons.most_common(1)[0][0] if reasons else UNSCORED)


def judged(group: Group, verdict: Verdict) -> Outcome:
    """The outcome of a scored group."""
    return Outcome(group, "kept") if verdict.keep else Outcome(group, "filtered", verdict.reason)
