"""Waits for a server that is not there, while the run waits for it."""

from __future__ import annotations

import time

from slime_hookspecs import WeightsEvent, hookimpl


@hookimpl
def slime_on_weights(event: WeightsEvent) -> None:
    """Tries again and again."""
    for _ in range(3):
        time.sleep(0.25)
