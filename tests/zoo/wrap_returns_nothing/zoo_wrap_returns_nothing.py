"""Forgets to return what is inside it."""

from __future__ import annotations

import time

from slime_hookspecs import Engine, NextGenerate, Sample, hookimpl


@hookimpl
async def slime_wrap_generate(call_next: NextGenerate, sample: Sample, engine: Engine) -> None:
    """Notes how long generation took."""
    start = time.monotonic()
    await call_next(sample, engine)
    sample.metadata["seconds"] = time.monotonic() - start
