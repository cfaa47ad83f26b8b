"""What every transport does, and what it reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol, final

from torch import Tensor

#: Every update says this: a flush with requests pending kills a server (SGLang 0.5.18), and the
#: weight version is set only once all buckets have arrived.
KEEP_CACHE: Final[dict[str, Any]] = {"flush_cache": False}


@final
@dataclass(slots=True)
class Sent:
    """What one update carried."""

    bytes: int = 0
    buckets: int = 0
    tensors: int = 0

    def add(self, tensors: int, nbytes: int) -> None:
        """Count one more bucket."""
        self.buckets += 1
        self.tensors += tensors
        self.bytes += nbytes


class Transport(Protocol):
    """Brings whole HF tensors to all servers. Used by global rank 0 alone, for a run's updates."""

    def send(self, tensors: Iterable[tuple[str, Tensor]]) -> Sent:
        """Update the servers' weights. They are paused meanwhile; nothing is flushed.

        Raises:
            WeightSyncError: A server refused; weights on all servers are then undefined.
        """
        ...

    def close(self) -> None:
        """Give back what is kept between updates. May be called twice."""
        ...
