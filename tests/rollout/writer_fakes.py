"""A server that writes one token a turn of the loop and can be interrupted after any of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slime_hookspecs import Sample, Sampling, StopReason, Trace

PROMPT = [1, 2, 3, 4]


def token(seed: int, position: int) -> int:
    """Drawn from seed and position only, as servers that honour seeds do."""
    return random.Random(seed * 1_000_003 + position).randrange(100)


@dataclass
class Writer:
    """``length`` says how many tokens each sample's answer has, ``stubborn`` who ignores aborts."""

    length: Callable[[int], int]
    stubborn: Callable[[int], bool] = lambda index: False
    weight_version: int = 1
    seeds: dict[int, int] = field(default_factory=dict)
    finished: Counter[int] = field(default_factory=Counter)
    written: int = 0
    aborts: int = 0
    abort_turns: int = 0  #: turns of the loop until an abort is answered

    def session(self, sample_index: int, seed: int | None) -> WriterEngine:
        assert seed is not None
        self.seeds[sample_index] = seed
        return WriterEngine(self, sample_index, seed)

    async def abort_all(self) -> None:
        self.aborts += 1
        for _ in range(self.abort_turns):
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Nothing is open."""

    async def write(self, index: int, seed: int, trace: Trace) -> StopReason:
        aborts, version, start = self.aborts, self.weight_version, len(trace)
        new: list[int] = []
        while trace.sampled_length + len(new) < self.length(index):
            if self.aborts > aborts and not self.stubborn(index):
                self._append(trace, new, version)
                return StopReason.ABORTED
            if self.weight_version != version:  # an update: the request goes on with new weights
                self._append(trace, new, version)
                new, version, start = [], self.weight_version, len(trace)
            await asyncio.sleep(0)
            new.append(token(seed, start + len(new)))
        self._append(trace, new, version)
        return StopReason.STOP

    def _append(self, trace: Trace, new: list[int], version: int) -> None:
        self.written += len(new)
        trace.append_sampled(new, [-0.5] * len(new), version)


@dataclass
class WriterEngine:
    client: Writer
    index: int
    seed: int
    context_length: int = 64

    async def generate(self, trace: Trace, sampling: Sampling | None = None) -> StopReason:
        return await self.client.write(self.index, self.seed, trace)

    def decode(self, tokens: Sequence[int]) -> str:
        return " ".join(map(str, tokens))

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return {}


async def write(sample: Sample, engine: Any, ctx: Any) -> Sample:
    """One turn, continued where an interrupted attempt left it."""
    if not len(sample.trace):
        sample.trace.append_prompt(PROMPT)
    sample.stop = await engine.generate(sample.trace)
    if sample.stop is StopReason.STOP:
        engine.client.finished[sample.index] += 1
    return sample
