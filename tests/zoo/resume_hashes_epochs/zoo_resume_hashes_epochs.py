"""Shuffles each epoch after the first by a hash that differs from process to process."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from slime_hookspecs import Prompt, hookimpl

COUNT = 24


class Source:
    """Sums, in another order in each epoch."""

    def __init__(self) -> None:
        self.position = 0

    def prompt(self, place: int) -> Prompt:
        """The prompt at a place of the stream."""
        epoch, within = divmod(place, COUNT)
        order = list(range(COUNT))
        if epoch:
            random.Random(hash(f"epoch {epoch}")).shuffle(order)
        number = order[within]
        return Prompt(f"sum/{number}", [{"role": "user", "content": f"{number}+1="}], number + 1)

    def take(self, count: int) -> list[Prompt]:
        """The next prompts."""
        start = self.position
        self.position += count
        return [self.prompt(place) for place in range(start, self.position)]

    def state(self) -> dict[str, Any]:
        """Where the stream is."""
        return {"position": self.position}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on there."""
        self.position = state["position"]


@hookimpl
def slime_data_source() -> Source:
    """The sums."""
    return Source()
