"""Forgets at the end of an epoch that it has to go backwards in the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slime_hookspecs import Prompt, hookimpl


class Source:
    """Six sums, again and again."""

    def __init__(self) -> None:
        self.position = 0

    def prompt(self, place: int) -> Prompt:
        """The prompt at a place of the stream."""
        epoch, number = divmod(place, 6)
        number = 5 - number if epoch % 2 else number
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
        self.position = state["position"] if state["position"] % 6 else 0


@hookimpl
def slime_data_source() -> Source:
    """The sums."""
    return Source()
