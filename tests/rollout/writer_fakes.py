"""A server that writes one token a turn of the loop and can be interrupted after any of them."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollout_fakes import config_of, hook
from slime_hookspecs import Rollout, Sample, Sampling, StopReason, Trace

from slime_core.config.schema import Config
from slime_core.rollout.drawing import Drawing

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
    turn: int = 10**9  #: tokens of a turn
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
        end = min(self.length(index), (trace.sampled_length // self.turn + 1) * self.turn)
        while trace.sampled_length + len(new) < end:
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


WRITE = hook("slime_generate", write)


async def reward(sample: Sample, ctx: Any) -> float:
    """The last token."""
    return float(sample.trace.tokens[-1])


REWARD = hook("slime_reward", reward)


def partial(**settings: Any) -> Config:
    """A run with partial rollouts."""
    return config_of(partial_rollout=True, **settings)


def saved(drawing: Drawing) -> dict[str, Any]:
    """The state after a way through a file."""
    state: dict[str, Any] = json.loads(json.dumps(drawing.state()))
    return state


def samples_of(rollout: Rollout) -> list[Sample]:
    """All samples of all groups."""
    return [sample for group in rollout.groups for sample in group.samples]


def ids(rollout: Rollout) -> list[str]:
    """The prompts."""
    return [group.prompt.id for group in rollout.groups]


def expected(writer: Writer, sample: Sample) -> list[int]:
    """Tokens of an attempt that nobody interrupted."""
    seed, first = writer.seeds[sample.index], len(PROMPT)
    return PROMPT + [token(seed, first + n) for n in range(writer.length(sample.index))]
