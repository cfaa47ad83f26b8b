"""Reads the stop reason of a list of siblings."""

from __future__ import annotations

from typing import Any

from slime_hookspecs import Engine, NextGenerate, Sample, hookimpl


@hookimpl
async def slime_wrap_generate(call_next: NextGenerate, sample: Sample, engine: Engine) -> Any:
    """Notes why generation ended."""
    answer: Any = await call_next(sample, engine)
    answer.metadata["ended"] = answer.stop.value
    return answer
