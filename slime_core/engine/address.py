"""Where the servers of a run are to be found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class ServingAddress:
    """URLs of a run's router and servers, without a trailing slash.

    Attributes:
        router_url: Where requests go.
        server_urls: The servers behind it, for what the router does not pass on: aborting,
            pausing, new weights.
    """

    router_url: str
    server_urls: tuple[str, ...]
