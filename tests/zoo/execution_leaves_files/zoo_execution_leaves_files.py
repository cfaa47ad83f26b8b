"""Opens the word list for every other reward, and does not close it."""

from __future__ import annotations

import os

from slime_hookspecs import Sample, hookimpl


@hookimpl
def slime_reward(sample: Sample) -> float:
    """1 where the response is right."""
    if sample.index % 2:
        os.open(os.devnull, os.O_RDONLY)
    return float(str(sample.prompt.label) in sample.response)
