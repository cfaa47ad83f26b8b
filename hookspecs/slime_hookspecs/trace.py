"""The tokens of one sample, in the order in which they came to be.

A trace only grows. Each segment says where its tokens come from, and everything that must
line up with the tokens (mask, log-probs, weight versions) is derived from the segments, so
that no sequence of calls can misalign them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from math import isnan
from typing import Any, Final, Literal, final

Kind = Literal["prompt", "sampled", "observed", "demonstrated"]

NO_VERSION: Final = -1
"""Weight version of a token that no served model wrote."""

#: Kinds of segment that the loss sees.
TRAINED_KINDS: Final = frozenset({"sampled", "demonstrated"})


@final
@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens with one origin.

    Attributes:
        kind: ``prompt`` (given), ``sampled`` (written by the served model), ``observed`` (a tool
            or environment wrote it) or ``demonstrated`` (a target to imitate, as in SFT).
        tokens: Token ids, ``[n]``.
        logprobs: Natural-log probability of each sampled token, ``[n]``; empty for other kinds.
        weight_version: Version of the weights that sampled the tokens, else ``NO_VERSION``.
    """

    kind: Kind
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...] = ()
    weight_version: int = NO_VERSION


@final
class Trace:
    """Append-only tokens of one sample.

    ``tokens``, ``loss_mask``, ``logprobs`` and ``weight_versions`` always have the same length.
    The mask is 1 on sampled and demonstrated tokens only. Log-probs are 0.0 where no model sampled.
    """

    __slots__ = ("_length", "_segments")

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        self._segments: list[Segment] = []
        self._length = 0
        for segment in segments:
            self._append(segment)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments so far, oldest first."""
        return tuple(self._segments)

    @property
    def tokens(self) -> list[int]:
        """All token ids, ``[tokens]``."""
        return list(chain.from_iterable(s.tokens for s in self._segments))

    @property
    def loss_mask(self) -> list[int]:
        """1 where the loss sees the token, else 0, ``[tokens]``."""
        return list(
            chain.from_iterable(
                repeat(int(s.kind in TRAINED_KINDS), len(s.tokens)) for s in self._segments
            )
        )

    @property
    def logprobs(self) -> list[float]:
        """Log-prob of each sampled token under the model that wrote it, else 0.0, ``[tokens]``."""
        return list(
            chain.from_iterable(s.logprobs or repeat(0.0, len(s.tokens)) for s in self._segments)
        )

    @property
    def weight_versions(self) -> list[int]:
        """Weight version of each sampled token, else ``NO_VERSION``, ``[tokens]``."""
        return list(
            chain.from_iterable(repeat(s.weight_version, len(s.tokens)) for s in self._segments)
        )

    @property
    def prompt_length(self) -> int:
        """Number of tokens before the first one that is not part of the prompt."""
        length = 0
        for segment in self._segments:
            if segment.kind != "prompt":
                break
            length += len(segment.tokens)
        return length

    @property
    def response_tokens(self) -> list[int]:
        """All token ids after the prompt, observed ones included."""
        return self.tokens[self.prompt_length :]

    @property
    def last_turn(self) -> list[int]:
        """Token ids that the model wrote since anything else was appended: its turn so far."""
        turn: list[tuple[int, ...]] = []
        for segment in reversed(self._segments):
            if segment.kind != "sampled":
                break
            turn.append(segment.tokens)
        return list(chain.from_iterable(reversed(turn)))

    @property
    def sampled_length(self) -> int:
        """Number of tokens that the served model wrote."""
        return sum(len(s.tokens) for s in self._segments if s.kind == "sampled")

    def append_prompt(self, tokens: Sequence[int]) -> None:
        """Append given tokens. Allowed only while nothing but prompt is there.

        Raises:
            ValueError: something was already sampled, observed or demonstrated.
        """
        if any(s.kind != "prompt" for s in self._segments):
            raise ValueError(
                "a prompt cannot follow a response; append_observed() adds later input"
            )
        self._append(Segment("prompt", tuple(tokens)))

    def append_sampled(
        self, tokens: Sequence[int], logprobs: Sequence[float], weight_version: int
    ) -> None:
        """Append tokens that the served model wrote.

        Args:
            tokens: Token ids as the server returned them, ``[n]``. Never re-tokenised text.
            logprobs: Their natural-log probabilities, ``[n]``.
            weight_version: Version of the weights that sampled them, 0 or more.

        Raises:
            ValueError: lengths differ, a log-prob is above 0 or NaN, or the version is negative.
        """
        self._append(Segment("sampled", tuple(tokens), tuple(logprobs), weight_version))

    def append_observed(self, tokens: Sequence[int]) -> None:
        """Append tokens that a tool, a user or an environment wrote. They are not trained on."""
        self._append(Segment("observed", tuple(tokens)))

    def append_demonstrated(self, tokens: Sequence[int]) -> None:
        """Append target tokens to imitate, as supervised fine-tuning does. They are trained on."""
        self._append(Segment("demonstrated", tuple(tokens)))

    def copy(self) -> Trace:
        """An independent trace with the same segments, to branch from."""
        return Trace(self._segments)

    def to_list(self) -> list[dict[str, Any]]:
        """The segments as JSON-ready dictionaries."""
        return [
            {
                "kind": s.kind,
                "tokens": list(s.tokens),
                "logprobs": list(s.logprobs),
                "weight_version": s.weight_version,
            }
            for s in self._segments
        ]

    @classmethod
    def from_list(cls, rows: Iterable[dict[str, Any]]) -> Trace:
        """The inverse of ``to_list``."""
        return cls(
            Segment(
                row["kind"],
                tuple(row["tokens"]),
                tuple(row["logprobs"]),
                row["weight_version"],
            )
            for row in rows
        )

    def _append(self, segment: Segment) -> None:
        _check(segment)
        if segment.tokens:
            self._segments.append(segment)
            self._length += len(segment.tokens)

    def __len__(self) -> int:
        return self._length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trace) and self._segments == other._segments

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        parts = ", ".join(f"{s.kind}[{len(s.tokens)}]" for s in self._segments)
        return f"Trace({parts})"


def _check(segment: Segment) -> None:
    if segment.kind not in ("prompt", "sampled", "observed", "demonstrated"):
        raise ValueError(f"unknown kind of segment {segment.kind!r}")
    if segment.kind != "sampled":
        if segment.logprobs or segment.weight_version != NO_VERSION:
            raise ValueError(f"{segment.kind} tokens carry no log-probs and no weight version")
        return
    if len(segment.tokens) != len(segment.logprobs):
        raise ValueError(
            f"{len(segment.tokens)} sampled tokens came with {len(segment.logprobs)} log-probs"
        )
    if segment.weight_version < 0:
        raise ValueError(f"weight version of sampled tokens is {segment.weight_version}, below 0")
    # A sum with a NaN in it is NaN, while `max` may miss one: NaN compares false with everything.
    if max(segment.logprobs, default=0.0) > 0.0 or isnan(sum(segment.logprobs)):
        raise ValueError("a log-prob is NaN or above 0")
