"""What can go wrong between a plugin and its servers, each as a record that an engine is given.

``call`` is the number of the call that a fault hits, from 0; ``None`` is every call.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from slime_hookspecs.errors import EngineError
from slime_hookspecs.records import StopReason

if TYPE_CHECKING:
    from slime_hookspecs.testing.kit.engine import ScriptedEngine


@final
@dataclass(slots=True)
class Turn:
    """What the engine is about to answer. Faults change it.

    Attributes:
        engine: Who answers.
        tokens: What it will write.
        stop: Why it will end.
        delay_s: Seconds that each token takes.
        malformed: Whether the answer is not what it must be.
    """

    engine: ScriptedEngine
    tokens: list[int]
    stop: StopReason
    delay_s: float = 0.0
    malformed: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Base of all faults.

    >>> Abort(after_tokens=3, call=1).hits(1)
    True
    """

    call: int | None = field(default=0, kw_only=True)

    def hits(self, call: int) -> bool:
        """Whether the fault happens in this call."""
        return self.call is None or self.call == call

    async def happen(self, turn: Turn) -> None:
        """Change the turn, wait, or raise."""


@dataclass(frozen=True, slots=True)
class Abort(Fault):
    """The server ends the request after some tokens: ``ABORTED``, and these are appended.

    An answer that has no more tokens than that is whole, and nothing happens to it.
    """

    after_tokens: int = 3

    async def happen(self, turn: Turn) -> None:
        """Cut the answer, if it goes on so long."""
        if self.after_tokens < len(turn.tokens):
            turn.tokens, turn.stop = turn.tokens[: self.after_tokens], StopReason.ABORTED


@dataclass(frozen=True, slots=True)
class Timeout(Fault):
    """The server is silent for so long that any deadline passes."""

    seconds: float = 3600.0

    async def happen(self, turn: Turn) -> None:
        """Wait; with a virtual clock that takes no time."""
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True, slots=True)
class Restart(Fault):
    """No server answers: ``EngineError``. The next call is served again."""

    async def happen(self, turn: Turn) -> None:
        """Refuse."""
        raise EngineError("no server answered; it is starting again")


@dataclass(frozen=True, slots=True)
class NewWeights(Fault):
    """The servers take new weights just before the call."""

    by: int = 1

    async def happen(self, turn: Turn) -> None:
        """Raise the weight version."""
        turn.engine.weight_version += self.by


@dataclass(frozen=True, slots=True)
class SlowTokens(Fault):
    """Tokens come slowly. Hits every call unless told otherwise."""

    seconds: float = 1.0
    call: int | None = field(default=None, kw_only=True)

    async def happen(self, turn: Turn) -> None:
        """Slow the stream down."""
        turn.delay_s = self.seconds


@dataclass(frozen=True, slots=True)
class Malformed(Fault):
    """The answer is not what SGLang sends: an ``EngineError``, or wrong JSON over HTTP."""

    async def happen(self, turn: Turn) -> None:
        """Spoil the answer."""
        turn.malformed = True


MALFORMED_ANSWER: dict[str, Any] = {"text": "?", "meta_info": {}}
