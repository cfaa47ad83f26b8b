"""What agents ask the scripted engine over the OpenAI API, as traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from slime_hookspecs.trace import Trace


@final
class Recording:
    """Keeps each conversation as one trace, as the gateway of a run does.

    A request whose tokens begin with those of an earlier conversation carries that one on.

    >>> recording = Recording()
    >>> recording.add([3, 40], [50, 1], [-0.1, -0.2], 1)
    >>> recording.add([3, 40, 50, 1, 3, 41], [51, 1], [-0.1, -0.2], 1)
    >>> recording.traces
    [Trace(prompt[2], sampled[2], observed[2], sampled[2])]
    """

    def __init__(self) -> None:
        self._turns: list[Trace] = []
        self.traces: list[Trace] = []

    def add(
        self,
        asked: Sequence[int],
        written: Sequence[int],
        logprobs: Sequence[float],
        weight_version: int,
    ) -> None:
        """One request and its answer, as tokens."""
        given = list(asked)
        known = [one for one in self._turns if one.tokens == given[: len(one)]]
        before = max(known, key=len, default=Trace())
        trace = before.copy()
        if known:
            trace.append_observed(given[len(before) :])
        else:
            trace.append_prompt(given)
        trace.append_sampled(written, logprobs, weight_version)
        self._turns.append(trace)
        self.traces = [one for one in self.traces if one is not before] + [trace]
