"""A conversation as segments of tokens: what is given, and what is to be imitated.

The conversation is rendered up to the start and up to the end of each imitated message. Each
rendering must begin with the one before it, or else the model would be trained on tokens that it
never meets; templates that rewrite earlier turns do not qualify.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import final

from slime_hookspecs import DataError, Engine, Prompt, Segment
from slime_hookspecs.trace import Kind


def split(prompt: Prompt, engine: Engine) -> tuple[Segment, ...]:
    """Segments of a conversation up to the end of its last imitated message.

    An imitated message begins after the template's generation prompt and ends with what the
    template writes after its content: the end-of-turn token is imitated too.

    Raises:
        DataError: the template does not preserve prefixes, or the conversation does not fit.
    """
    try:
        cuts = list(_cuts(prompt, engine))
    except Exception as error:  # whatever the template language raises
        place = prompt.metadata["place"]
        raise DataError(f"{place}: the chat template refuses the conversation: {error}") from error
    _check_prefixes(prompt, [cut.tokens for cut in cuts])
    if len(cuts[-1].tokens) > engine.context_length:
        raise DataError(
            f"{prompt.metadata['place']}: the conversation has {len(cuts[-1].tokens)} tokens, "
            f"the model takes {engine.context_length}; shorten it or leave it out"
        )
    starts = [0, *(len(cut.tokens) for cut in cuts)]
    return tuple(
        Segment(cut.kind, tuple(cut.tokens[start:]))
        for start, cut in zip(starts, cuts, strict=False)
    )


@final
@dataclass(slots=True)
class SegmentCache:
    """Segments of conversations seen before: an epoch tokenises, the next ones look up.

    It fills up and stays: evicting would be of no use, as epochs come round in turn.
    """

    tokens: int = 0
    entries: dict[str, tuple[Prompt, tuple[Segment, ...]]] = field(default_factory=dict)

    def split(self, prompt: Prompt, engine: Engine, most_tokens: int) -> tuple[Segment, ...]:
        """``split``, remembered while the entries have at most ``most_tokens`` together."""
        known = self.entries.get(prompt.id)
        # Another run in this process may give the same id to other data.
        if known is not None and known[0] is prompt:
            return known[1]
        segments = split(prompt, engine)
        size = sum(len(segment.tokens) for segment in segments)
        if known is None and self.tokens + size <= most_tokens:
            self.entries[prompt.id] = (prompt, segments)
            self.tokens += size
        return segments


@final
@dataclass(frozen=True, slots=True)
class _Cut:
    """A rendering of the conversation's beginning, and the kind of what it adds to the last."""

    kind: Kind
    tokens: Sequence[int]


def _cuts(prompt: Prompt, engine: Engine) -> Iterator[_Cut]:
    given: Kind = "prompt"
    for index in prompt.metadata["trained"]:
        before, through = prompt.messages[:index], prompt.messages[: index + 1]
        yield _Cut(given, engine.render(before, prompt.tools))
        yield _Cut(
            "demonstrated", engine.render(through, prompt.tools, add_generation_prompt=False)
        )
        given = "observed"


def _check_prefixes(prompt: Prompt, renderings: Sequence[Sequence[int]]) -> None:
    for shorter, longer in pairwise(renderings):
        if list(longer[: len(shorter)]) == list(shorter):
            continue
        at = next(
            (i for i, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b),
            len(longer),
        )
        raise DataError(
            f"{prompt.metadata['place']}: the chat template does not keep what it wrote: with more "
            f"of the conversation, or with its answer, it differs from token {at} on; use a "
            "template that leaves earlier turns as they were, or --sft.train-on last"
        )
