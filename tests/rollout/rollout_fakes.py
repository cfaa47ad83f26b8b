"""A small engine and plugins in this process, so that tests of the rollout are quick and exact."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from slime_hookspecs import Group, Prompt, RunInfo, Sample, Sampling, StopReason, Trace

from slime_core.config.schema import Config, RolloutConfig
from slime_core.plugins import Bound, BoundHook
from slime_core.rollout.contexts import Contexts
from slime_core.rollout.drawing import Drawing
from slime_core.rollout.hooks import look_up
from slime_core.rollout.lag import Suspects
from slime_core.rollout.live_checks import LiveChecks
from slime_core.rollout.observers import Observers
from slime_core.rollout.reward_pool import RewardPool
from slime_core.rollout.source import open_source
from slime_core.rollout.studio import Studio, keeps_partial

CONTEXT = 64
Script = Callable[[int], Any]


class Source:
    """Prompts ``p0``, ``p1``, ... up to ``size``."""

    def __init__(self, size: int = 10**9) -> None:
        self.taken, self.size = 0, size

    def take(self, count: int) -> list[Prompt]:
        start, self.taken = self.taken, min(self.size, self.taken + count)
        return [prompt(i) for i in range(start, self.taken)]

    def state(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.taken = state["taken"]


def prompt(number: int) -> Prompt:
    return Prompt(f"p{number}", [{"role": "user", "content": "x" * 4}], label=number)


@dataclass
class FakeClient:
    """Answers two tokens that depend on the seed; ``hang`` says which samples wait for abort."""

    hang: Callable[[int], bool] = lambda index: False
    patience_s: float | None = None
    weight_version: int = 1
    seeds: dict[int, int] = field(default_factory=dict)
    most_in_flight: int = 0
    aborts: int = 0
    closed: bool = False

    def __post_init__(self) -> None:
        self.in_flight = 0
        self._aborted = asyncio.Event()

    def session(self, sample_index: int, seed: int | None) -> FakeEngine:
        self.seeds[sample_index] = seed or 0
        return FakeEngine(self, sample_index, seed or 0)

    async def abort_all(self) -> None:
        self.aborts += 1
        self._aborted.set()

    async def close(self) -> None:
        self.closed = True

    async def wait(self, index: int, seed: int) -> bool:
        """Whether the request was aborted."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.hang(index):
                return await self._abort_or_patience()
            for _ in range(random.Random(seed).randrange(4)):
                await asyncio.sleep(0)
            return False
        finally:
            self.in_flight -= 1

    async def _abort_or_patience(self) -> bool:
        try:
            return await asyncio.wait_for(self._aborted.wait(), self.patience_s)
        except TimeoutError:
            return False


@dataclass
class FakeEngine:
    client: FakeClient
    index: int
    seed: int
    context_length: int = CONTEXT
    openai_base_url: str = "http://nowhere"

    @property
    def weight_version(self) -> int:
        return self.client.weight_version

    async def generate(self, trace: Trace, sampling: Sampling | None = None) -> StopReason:
        if len(trace) >= CONTEXT:
            return StopReason.CONTEXT
        if await self.client.wait(self.index, self.seed):
            return StopReason.ABORTED
        dice = random.Random(self.seed)
        tokens = [dice.randrange(100) for _ in range(2)]
        trace.append_sampled(tokens, [-dice.random() for _ in tokens], self.client.weight_version)
        return StopReason.STOP

    def render(self, messages: Sequence[Any], tools: Any = None, **_: Any) -> list[int]:
        return list(range(sum(len(m["content"]) for m in messages)))

    def decode(self, tokens: Sequence[int]) -> str:
        return " ".join(map(str, tokens))

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return {}


async def generate(sample: Sample, engine: Any, ctx: Any) -> Sample:
    sample.trace.append_prompt(engine.render(sample.prompt.messages))
    sample.stop = await engine.generate(sample.trace)
    return sample


def centred(group: Group, ctx: Any) -> list[float]:
    rewards = [s.reward or 0.0 for s in group.scored]
    return [r - sum(rewards) / len(rewards) for r in rewards]


def hook(name: str, function: Any, plugin: str = "task", weight: float = 1.0) -> BoundHook:
    return BoundHook(
        plugin=plugin,
        version="1.2",
        hook=name,
        options=None,
        is_async=asyncio.iscoroutinefunction(function),
        weight=weight,
        function=function,
        call=function,
    )


def bound_of(*hooks: BoundHook, source: Source | None = None) -> Bound:
    """Hooks in their order, with fakes for the roles that nobody fills."""
    roles = {
        "slime_data_source": lambda options, run: source or Source(),
        "slime_generate": generate,
        "slime_advantage": centred,
    }
    found: dict[str, tuple[BoundHook, ...]] = {}
    for one in hooks:
        found[one.hook] = (*found.get(one.hook, ()), one)
    for name, function in roles.items():
        found.setdefault(name, (hook(name, function, plugin=name.removeprefix("slime_")),))
    return Bound(found, (), {})


def config_of(**rollout: Any) -> Config:
    failed = rollout.pop("max_failed_fraction", 0.2)
    checks = rollout.pop("check_plugins", 16)
    names = ("partial_rollout", "mask_stale_tokens", "schedule", "max_staleness")
    top = {name: rollout.pop(name) for name in names if name in rollout}
    settings = {"prompts_per_step": 4, "samples_per_prompt": 2, **rollout}
    config = Config(max_failed_fraction=failed, check_plugins=checks, **top)
    return replace(config, rollout=RolloutConfig(**settings))


def studio_of(
    config: Config, *hooks: BoundHook, source: Source | None = None, pool: RewardPool | None = None
) -> tuple[Studio, Drawing]:
    found = look_up(bound_of(*hooks, source=source))
    run = RunInfo("t", Path("/nowhere"), Path("/nowhere"), config.seed, 9, 4, 2, 16)
    checks = LiveChecks(config.check_plugins)
    parts = Contexts(run), Observers(), CONTEXT, pool, checks, Suspects(found)
    studio = Studio(config, run, found, *parts)
    per_prompt = config.rollout.samples_per_prompt
    drawing = Drawing(
        open_source(found.data_source, run, checks),
        per_prompt,
        found.provenance,
        partial=keeps_partial(config),
    )
    return studio, drawing


def balance(metrics: Mapping[str, float]) -> tuple[float, float]:
    """Both sides of the accounting invariant."""
    came = metrics["prompts/drawn"] + metrics["prompts/from_buffer"]
    went = metrics["prompts/trained"] + metrics["prompts/kept"]
    lost = sum(
        v for k, v in metrics.items() if k.startswith(("prompts/filtered/", "prompts/failed/"))
    )
    return came, went + lost
