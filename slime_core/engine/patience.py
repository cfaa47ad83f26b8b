"""How long a request may take and wait, and how often requests of a run may go out again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from slime_hookspecs.errors import EngineError


@final
@dataclass(slots=True)
class Redone:
    """Counts the requests of a run that went out again, over all of a process's clients.

    Attributes:
        allowed: How many may.
        count: How many did.
    """

    allowed: int = 10_000
    count: int = 0
    _told: int = 0

    def one_more(self) -> None:
        """A server failed at a request, so that it goes out again.

        Raises:
            EngineError: the budget is spent.
        """
        if self.count >= self.allowed:
            raise EngineError(
                f"servers failed at {self.count} requests of this run already, and no more than "
                f"{self.allowed} may go out again (--engine-max-redone-requests); the servers' "
                "logs say what is wrong with them"
            )
        self.count += 1

    def take(self) -> int:
        """How many there were since the last call."""
        new, self._told = self.count - self._told, self.count
        return new


@final
@dataclass(frozen=True, slots=True)
class Patience:
    """What a client puts up with.

    Attributes:
        request_s: Seconds that one request may take before it counts as lost.
        wait_s: Seconds that a request waits where no server can take it.
        redone: Counts what goes out again.
    """

    request_s: float = 600.0
    wait_s: float = 600.0
    redone: Redone = field(default_factory=Redone)
