"""Draws prompts, buffer first, and makes numbered groups of them; resumable to the last index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from slime_hookspecs import DataSource, Group, Prompt, Sample

from slime_core.rollout.buffer import Buffer
from slime_core.rollout.flights import Flight


@final
@dataclass(frozen=True, slots=True)
class Drawn:
    """Groups that were drawn, and how many of them came from where."""

    flights: list[Flight]
    from_buffer: int
    from_source: int


@final
class Drawing:
    """The data source, the buffer before it, and the counters that number groups and samples.

    Args:
        source: Where prompts come from.
        samples_per_prompt: Samples that a group is asked for.
        provenance: For each sample.
        partial: Whether groups that are given back keep what was done for them, or begin anew.
    """

    def __init__(
        self,
        source: DataSource,
        samples_per_prompt: int,
        provenance: Mapping[str, str],
        *,
        partial: bool = False,
    ) -> None:
        self._source = source
        self._samples_per_prompt = samples_per_prompt
        self._provenance = dict(provenance)
        self._partial = partial
        self._buffer = Buffer()
        self._next_group = 0
        self._next_sample = 0

    def draw(self, count: int) -> Drawn:
        """The next ``count`` groups, fewer only where the data ends."""
        old = self._buffer.take(count)
        missing = count - len(old)
        new = list(self._source.take(missing)) if missing else []
        flights = [
            entry if isinstance(entry, Flight) else Flight.of(self._group(entry))
            for entry in (*old, *new)
        ]
        return Drawn(flights, len(old), len(new))

    def give_back(self, flights: Sequence[Flight]) -> int:
        """Keep groups that were drawn and not used; they are drawn again before new prompts.

        Returns:
            The tokens that the model wrote for them and that are kept with them.
        """
        if not self._partial:
            self._buffer.give_back(flight.group.prompt for flight in flights)
            return 0
        self._buffer.put_back(flights)
        return sum(flight.sampled_length for flight in flights)

    def next_index(self) -> int:
        """An index for one more sample."""
        index = self._next_sample
        self._next_sample += 1
        return index

    def state(self, untrained: Iterable[Group] = ()) -> dict[str, Any]:
        """All that ``restore`` needs, as JSON values.

        Args:
            untrained: Groups that a step was to train on and did not: they come first again.
        """
        front = Buffer(map(Flight.landed, untrained))
        return {
            "next_group": self._next_group,
            "next_sample": self._next_sample,
            "buffer": [*front.state(), *self._buffer.state()],
            "data_source": self._source.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly after the last draw before ``state`` was called."""
        self._source.restore(state["data_source"])
        self._buffer = Buffer.from_state(state["buffer"])
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
