"""How long a sample waited, generated and was scored, all of its attempts together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import final


@final
@dataclass(slots=True, eq=False)
class Times:
    """A sample's clock. Its marks are seconds since the epoch, of the last attempt; 0 is not yet.

    Attributes:
        queue_s: Seconds in which it waited for a place among those that generate.
        generate_s: Seconds of its generate plugin, wrappers and waiting for servers included.
        reward_s: Seconds of its rewards, waiting for a reward worker included.
        began: When its generation began.
        generated: When that ended.
        scored: When its rewards were there.
    """

    queue_s: float = 0.0
    generate_s: float = 0.0
    reward_s: float = 0.0
    queued: float = 0.0
    began: float = 0.0
    generated: float = 0.0
    scored: float = 0.0

    def queue(self) -> None:
        """The sample waits for its turn."""
        self.queued = time.time()
        self.began = self.generated = self.scored = 0.0

    def begin(self) -> None:
        """Its turn has come."""
        self.began = self.generated = time.time()
        self.queue_s += self.began - self.queued

    def end_generation(self) -> None:
        """The generate plugin returned, or was stopped."""
        self.generated = time.time()
        self.generate_s += self.generated - self.began

    def end_rewards(self) -> None:
        """The rewards are there, or one of them failed."""
        self.scored = time.time()
        self.reward_s += self.scored - self.generated

    def to_dict(self) -> dict[str, float]:
        """What is saved with the sample, in seconds."""
        return {
            "began": round(self.began, 6),
            "queue_s": round(self.queue_s, 6),
            "generate_s": round(self.generate_s, 6),
            "reward_s": round(self.reward_s, 6),
        }
