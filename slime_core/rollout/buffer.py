"""What was drawn but not trained on: prompts to begin anew, and groups to continue."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, final

from slime_hookspecs import Prompt

from slime_core.rollout.flights import Flight
from slime_core.rollout.rows import (
    flight_from_dict,
    flight_to_dict,
    prompt_from_dict,
    prompt_to_dict,
)

Entry: TypeAlias = Prompt | Flight
"""A prompt to begin anew, or a group to continue."""


@final
class Buffer:
    """Entries to take before the data source is asked for more, oldest first."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = deque(entries)

    def take(self, count: int) -> list[Entry]:
        """The oldest entries, at most ``count``."""
        return [self._entries.popleft() for _ in range(min(count, len(self._entries)))]

    def give_back(self, prompts: Iterable[Prompt]) -> None:
        """Keep prompts for later, behind those already here."""
        self._entries.extend(prompts)

    def put_back(self, flights: Sequence[Flight]) -> None:
        """Keep groups for later, in their order, before all else: they were drawn before it."""
        in_order = sorted(flights, key=lambda flight: flight.group.index)
        self._entries.extendleft(reversed(in_order))

    def state(self) -> list[dict[str, Any]]:
        """All entries as JSON values."""
        return [_to_dict(entry) for entry in self._entries]

    @classmethod
    def from_state(cls, rows: Iterable[Mapping[str, Any]]) -> Buffer:
        """The inverse of ``state``."""
        return cls(flight_from_dict(r) if "places" in r else prompt_from_dict(r) for r in rows)

    def __len__(self) -> int:
        return len(self._entries)


def _to_dict(entry: Entry) -> dict[str, Any]:
    return flight_to_dict(entry) if isinstance(entry, Flight) else prompt_to_dict(entry)
