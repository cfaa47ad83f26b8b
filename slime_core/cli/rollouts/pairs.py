"""The same prompts in two runs or steps: what became better or worse, and which words changed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from typing import Any, Final, TypeAlias, final

from slime_core.cli.rollouts.rows import Row

Key: TypeAlias = Callable[[Row], Any]

#: Words of each text that are compared; more would take minutes.
MOST_WORDS: Final = 4000


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """Two samples of one prompt."""

    before: Row
    after: Row

    @property
    def change(self) -> float | None:
        """By how much the reward rose; ``None`` where one was not scored."""
        if self.before.reward is None or self.after.reward is None:
            return None
        return self.after.reward - self.before.reward

    @property
    def same(self) -> bool:
        """Whether nothing differs that a reader sees."""
        return self.before.reward == self.after.reward and self.same_text

    @property
    def same_text(self) -> bool:
        """Whether both said the same in the end."""
        return self.before.response == self.after.response


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """All pairs, and how many samples have no counterpart on either side."""

    pairs: list[Pair]
    only_before: int
    only_after: int

    def differing(self) -> list[Pair]:
        """Pairs that differ, the largest change of reward first."""
        differ = [pair for pair in self.pairs if not pair.same]
        return sorted(differ, key=lambda pair: -abs(pair.change or 0.0))

    def values(self) -> dict[str, Any]:
        """Counts and means as JSON values."""
        changes = [pair.change for pair in self.pairs if pair.change is not None]
        scored = [pair for pair in self.pairs if pair.change is not None]
        return {
            "pairs": len(self.pairs),
            "better": sum(change > 0 for change in changes),
            "worse": sum(change < 0 for change in changes),
            "reward_before": _mean([pair.before.reward or 0.0 for pair in scored]),
            "reward_after": _mean([pair.after.reward or 0.0 for pair in scored]),
            "same_text": sum(pair.same_text for pair in self.pairs),
            "only_before": self.only_before,
            "only_after": self.only_after,
        }


def compared(before: Iterable[Row], after: Iterable[Row], *, by_prompt: bool) -> Comparison:
    """Pairs the samples of two runs, or of two steps.

    Args:
        before: One side.
        after: The other.
        by_prompt: Pair the first, second, ... samples of a prompt's id, as two steps need it; else
            samples of one group and index whose prompt is the same.
    """
    left, right = (_keyed(side, by_prompt) for side in (before, after))
    pairs = [Pair(row, right[key]) for key, row in left.items() if key in right]
    return Comparison(pairs, len(left) - len(pairs), len(right) - len(pairs))


def _keyed(rows: Iterable[Row], by_prompt: bool) -> dict[Any, Row]:
    seen: defaultdict[str, int] = defaultdict(int)
    found: dict[Any, Row] = {}
    for row in rows:
        row.forget_tokens()  # both sides are held at once
        name = str(row.prompt.get("id"))
        number = seen[name]
        seen[name] += 1
        found[(name, number) if by_prompt else (row.group_index, row.index, name)] = row
    return found


def words(before: str, after: str) -> Iterator[tuple[str, str]]:
    """What changed from one text to the other: ``=``, ``-`` or ``+``, and the words."""
    old, new = (list(islice(_split(text), MOST_WORDS)) for text in (before, after))
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            yield "=", "".join(old[i:j])
            continue
        if i < j:
            yield "-", "".join(old[i:j])
        if k < m:
            yield "+", "".join(new[k:m])


def _split(text: str) -> Iterator[str]:
    """Words with the white space after them."""
    yield from re.findall(r"\S+\s*|\s+", text)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
