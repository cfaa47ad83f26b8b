"""Words in an endless round; a checkpoint holds the place, so that a resumed run goes on there."""

from collections.abc import Mapping
from typing import Any

from slime_hookspecs import Prompt, hookimpl

WORDS = ("stop", "level", "drawer")


class Words:
    def __init__(self) -> None:
        self.taken = 0

    def take(self, count: int) -> list[Prompt]:
        places = range(self.taken, self.taken + count)
        self.taken += count
        return [prompt(WORDS[place % len(WORDS)]) for place in places]

    def state(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.taken = state["taken"]


def prompt(word: str) -> Prompt:
    question = {"role": "user", "content": f"Write backwards: {word}"}
    return Prompt(word, [question], label=word[::-1])


@hookimpl
def slime_data_source() -> Words:
    return Words()
