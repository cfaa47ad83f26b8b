"""Watches how long the event loop is kept from its work by code that does not wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, final

EVERY_S: Final = 0.05


@final
@dataclass(slots=True)
class Lag:
    """The longest that a timer came late, in seconds."""

    max_s: float = 0.0


@asynccontextmanager
async def watched_loop() -> AsyncIterator[Lag]:
    """Measure the loop's lag while the block runs."""
    lag = Lag()
    task = asyncio.create_task(_watch(lag))
    try:
        yield lag
    finally:
        task.cancel()


async def _watch(lag: Lag) -> None:
    time = asyncio.get_running_loop().time
    due = time() + EVERY_S
    while True:
        await asyncio.sleep(EVERY_S)
        lag.max_s = max(lag.max_s, time() - due)
        due = time() + EVERY_S
