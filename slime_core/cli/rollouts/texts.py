"""What the tokens of a sample say: from the saved text where that is enough, else decoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TypeAlias, final

from slime_core.cli.rollouts.rows import TRAINED, Row, Segment

Look: TypeAlias = Literal["prompt", "sampled", "stale", "masked", "observed", "demonstrated"]
"""``stale`` is trained on though older weights wrote it; ``masked`` was sampled and is not."""

CONTROL = {code: repr(chr(code))[1:-1] for code in (*range(32), 127, *range(128, 160))}
del CONTROL[ord("\n")], CONTROL[ord("\t")]


@final
@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens of one look that follow each other.

    Attributes:
        text: ``None`` where no tokenizer is there to decode them.
    """

    look: Look
    version: int
    tokens: int
    text: str | None


@final
class Tokenizer:
    """The run's tokenizer, loaded when it is first needed."""

    def __init__(self, model: Path | None) -> None:
        self._model = model

    @property
    def missing(self) -> str:
        """Why there is none; empty where there is one."""
        if self._decode is not None:
            return ""
        return f"{self._model}: no tokenizer.json that the package tokenizers can load"

    def decode(self, tokens: Sequence[int]) -> str | None:
        """Text of token ids, special tokens included."""
        return None if self._decode is None else plain(self._decode(tokens))

    @cached_property
    def _decode(self) -> Callable[[Sequence[int]], str] | None:
        try:
            import tokenizers

            loaded: Any = tokenizers.Tokenizer.from_file(str(self._model / "tokenizer.json"))  # type: ignore[operator]
        except Exception:
            return None
        return lambda tokens: str(loaded.decode(list(tokens), skip_special_tokens=False))


def pieces(row: Row, tokenizer: Tokenizer, *, masks_stale: bool = False) -> list[Piece]:
    """A sample's tokens, those that look alike together."""
    runs = [
        (look, version, [token for segment in run for token in segment.tokens])
        for (look, version), run in groupby(
            row.segments, lambda segment: look_of(row, segment, masks_stale)
        )
    ]
    texts = _saved_texts(row, [look for look, _, _ in runs])
    if texts is None:
        texts = [tokenizer.decode(tokens) for _, _, tokens in runs]
    return [
        Piece(look, version, len(tokens), text)
        for (look, version, tokens), text in zip(runs, texts, strict=True)
    ]


def _saved_texts(row: Row, looks: Sequence[Look]) -> list[str | None] | None:
    """The texts of a prompt and one answer, which are saved; ``None`` for anything else."""
    if len(looks) != 2 or looks[0] != "prompt" or not row.response:
        return None
    return [messages(row), plain(row.response)]


def messages(row: Row) -> str:
    """The conversation that was asked."""
    return "\n".join(_messages(row.prompt.get("messages")))


def _messages(said: Any) -> Iterator[str]:
    for message in said if isinstance(said, list) else [said]:
        if isinstance(message, dict) and message.get("role") == "user":
            yield plain(str(message.get("content")))
        elif isinstance(message, dict):
            yield plain(f"[{message.get('role')}] {message.get('content')}")
        else:
            yield plain(str(message))


def plain(text: str) -> str:
    """Text that cannot move the cursor or change colours: what a model wrote is not to be run."""
    return text.translate(CONTROL)


def look_of(row: Row, segment: Segment, masks_stale: bool) -> tuple[Look, int]:
    """How a segment looks, and the version of the weights that wrote it."""
    version = segment.weight_version
    if segment.kind in ("prompt", "observed"):
        return segment.kind, version  # type: ignore[return-value]
    older = 0 <= version < row.weight_version
    if row.error is not None or row.fate != TRAINED or (older and masks_stale):
        return "masked", version
    if segment.kind == "sampled" and older:
        return "stale", version
    return segment.kind, version  # type: ignore[return-value]


def number(value: float | None) -> str:
    """A value for a person; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"
