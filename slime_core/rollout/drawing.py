"""Draws prompts, buffer first, and makes numbered groups of them; resumable to the last index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

from slime_hookspecs import DataSource, Group, Prompt, Sample

from slime_core.rollout.buffer import PromptBuffer


@final
@dataclass(frozen=True, slots=True)
class Drawn:
    """Groups that were drawn, and how many of their prompts came from where."""

    groups: list[Group]
    from_buffer: int
    from_source: int


@final
class Drawing:
    """The data source, the buffer before it, and the counters that number groups and samples."""

    def __init__(
        self, source: DataSource, samples_per_prompt: int, provenance: Mapping[str, str]
    ) -> None:
        self._source = source
        self._samples_per_prompt = samples_per_prompt
        self._provenance = dict(provenance)
        self._buffer = PromptBuffer()
        self._next_group = 0
        self._next_sample = 0

    def draw(self, count: int) -> Drawn:
        """Groups for the next ``count`` prompts, fewer only where the data ends."""
        old = self._buffer.take(count)
        missing = count - len(old)
        new = list(self._source.take(missing)) if missing else []
        groups = [self._group(prompt) for prompt in (*old, *new)]
        return Drawn(groups, len(old), len(new))

    def give_back(self, prompts: Iterable[Prompt]) -> None:
        """Keep prompts that were drawn and not used; they are drawn again before new ones."""
        self._buffer.give_back(prompts)

    def next_index(self) -> int:
        """An index for one more sample."""
        index = self._next_sample
        self._next_sample += 1
        return index

    def state(self) -> dict[str, Any]:
        """All that ``restore`` needs, as JSON values."""
        return {
            "next_group": self._next_group,
            "next_sample": self._next_sample,
            "buffer": self._buffer.state(),
            "data_source": self._source.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly after the last draw before ``state`` was called."""
        self._source.restore(state["data_source"])
        self._buffer = PromptBuffer.from_state(state["buffer"])
        self._next_group = state["next_group"]
        self._next_sample = state["next_sample"]

    def _group(self, prompt: Prompt) -> Group:
        index = self._next_group
        self._next_group += 1
        samples = [
            Sample(self.next_index(), index, prompt, provenance=dict(self._provenance))
            for _ in range(self._samples_per_prompt)
        ]
        return Group(index, prompt, samples)
