"""Limits the time of a reward with a signal, which only the main thread may do."""

from __future__ import annotations

import signal

from slime_hookspecs import Sample, hookimpl


def too_late(*_: object) -> None:
    """End the comparison."""
    raise TimeoutError("the comparison took too long")


@hookimpl
def slime_reward(sample: Sample) -> float:
    """1 where the response is right."""
    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(5)
    try:
        return float(str(sample.prompt.label) in sample.response)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
