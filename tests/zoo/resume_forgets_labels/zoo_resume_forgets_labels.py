"""Keeps answers by prompt from when it gave the prompt, and not in the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slime_hookspecs import Prompt, Sample, hookimpl

answers: dict[str, str] = {}


class Source:
    """Six sums, again and again."""

    def __init__(self) -> None:
        self.position = 0

    def prompt(self, place: int) -> Prompt:
        """The prompt at a place of the stream."""
        number = place % 6
        answers[f"sum/{number}"] = str(number + 1)
        return Prompt(f"sum/{number}", [{"role": "user", "content": f"{number}+1="}])

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


@hookimpl
async def slime_reward(sample: Sample) -> float:
    """1 where the response is right."""
    return float(answers[sample.prompt.id] in sample.response)
