"""Rows of saved rollouts as a reader sees them: their tokens are decoded when they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, final

import msgspec

from slime_core.rollout import files

TRAINED: Final = "trained"


class Segment(msgspec.Struct, frozen=True):
    """A run of tokens with one origin."""

    kind: str
    tokens: list[int]
    logprobs: list[float | None] = []
    weight_version: int = -1


@final
class Row(msgspec.Struct):
    """One sample.

    Attributes:
        trace: Its segments, as JSON.
        fate: ``trained``, or what became of its group.
        lengths: Tokens of each kind.
        times: Seconds of its parts.
        line: What the file says.
    """

    index: int
    group_index: int
    prompt: dict[str, Any]
    trace: msgspec.Raw
    step: int = 0
    weight_version: int = 0
    response: str = ""
    stop: str = ""
    reward: float | None = None
    rewards: dict[str, Any] = {}
    advantage: float | None = None
    error: dict[str, Any] | None = None
    metadata: dict[str, Any] = {}
    fate: str = TRAINED
    lengths: dict[str, int] | None = None
    times: dict[str, float] = {}
    line: bytes = b""

    @property
    def segments(self) -> list[Segment]:
        """Its tokens."""
        return msgspec.json.decode(self.trace, type=list[Segment])

    @property
    def length(self) -> int:
        """Tokens after the prompt."""
        return sum(n for kind, n in self.counted.items() if kind != "prompt")

    @property
    def counted(self) -> dict[str, int]:
        """Tokens of each kind."""
        if self.lengths is None:
            self.lengths = {}
            for segment in self.segments:
                so_far = self.lengths.get(segment.kind, 0)
                self.lengths[segment.kind] = so_far + len(segment.tokens)
        return self.lengths

    def forget_tokens(self) -> None:
        """Let go of all but their number, which is most of a row."""
        self.lengths = self.counted
        self.trace, self.line = msgspec.Raw(b"[]"), b""

    @property
    def failed(self) -> bool:
        """Whether it was masked because something failed."""
        return self.error is not None or self.fate.startswith("failed/")

    @property
    def why(self) -> str:
        """What failed: plugin, hook and error; empty where nothing did."""
        if self.error is None:
            return self.fate.removeprefix("failed/") if self.failed else ""
        return " ".join(str(self.error.get(key, "?")) for key in ("plugin", "hook", "type"))


_DECODER: Final = msgspec.json.Decoder(Row)


@final
class Reading:
    """Reads files, and says afterwards what could not be read.

    Attributes:
        notes: A line for each file that is torn, unfinished or damaged.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def rows(self, paths: Iterable[Any]) -> Iterator[Row]:
        """All samples of these files, in their order."""
        for path in paths:
            if path.name.endswith(files.UNFINISHED):
                self.notes.append(f"{path}: was not finished; what is there of it is shown")
            yield from self._rows(path)

    def _rows(self, path: Any) -> Iterator[Row]:
        from slime_hookspecs.errors import DataError

        read = 0
        try:
            for line in files.lines(path):
                row = _DECODER.decode(line)
                row.line = line
                yield row
                read += 1
        except (msgspec.DecodeError, DataError) as error:
            self.notes.append(f"{path}: ends after {read} whole samples: {error}")
