"""Prompts that were drawn but not used, first in, first out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, final

from slime_hookspecs import Prompt


@final
class PromptBuffer:
    """Prompts to take before the data source is asked for more."""

    __slots__ = ("_prompts",)

    def __init__(self, prompts: Iterable[Prompt] = ()) -> None:
        self._prompts = deque(prompts)

    def take(self, count: int) -> list[Prompt]:
        """The oldest prompts, at most ``count``."""
        return [self._prompts.popleft() for _ in range(min(count, len(self._prompts)))]

    def give_back(self, prompts: Iterable[Prompt]) -> None:
        """Keep prompts for later, behind those already here."""
        self._prompts.extend(prompts)

    def state(self) -> list[dict[str, Any]]:
        """All prompts as JSON values."""
        return [prompt_to_dict(prompt) for prompt in self._prompts]

    @classmethod
    def from_state(cls, rows: Iterable[Mapping[str, Any]]) -> PromptBuffer:
        """The inverse of ``state``."""
        return cls(prompt_from_dict(row) for row in rows)

    def __len__(self) -> int:
        return len(self._prompts)


def prompt_to_dict(prompt: Prompt) -> dict[str, Any]:
    """A prompt as JSON values."""
    return {
        "id": prompt.id,
        "messages": prompt.messages,
        "label": prompt.label,
        "metadata": prompt.metadata,
        "tools": prompt.tools,
    }


def prompt_from_dict(row: Mapping[str, Any]) -> Prompt:
    """The inverse of ``prompt_to_dict``."""
    return Prompt(row["id"], row["messages"], row["label"], row["metadata"], row["tools"])
