"""What binding a plugin costs: beside calling its functions directly, and beside pluggy's relay.

The functions of the made-up plugins do next to nothing, so that the calls themselves are measured.
The two ways of a row alternate in one process; its figure is the median of the ratios of
neighbours.

    call/...     a bound hook beside the function that it binds, for several choices of arguments
    wrapped/...  generation inside two wrappers beside the bare function: bound hooks alone, and as
                 the rollout composes them, with a context for each call (the bare one has one too)
    run/relay    samples through generate, reward and filter beside pluggy's hook caller: 1,000 in
                 each of 100 rounds, 100,000 in all
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest import mock

import pluggy
from slime_hookspecs import (
    KEEP,
    PROJECT,
    Group,
    Prompt,
    RunInfo,
    Sample,
    SlimeSpecs,
    Verdict,
    hookimpl,
)

from slime_core.plugins.bound import BoundHook, adapt
from slime_core.plugins.installed import Plugin
from slime_core.plugins.loading import LoadedPlugin
from slime_core.plugins.verify import implementations
from slime_core.rollout.contexts import Contexts, Scene
from slime_core.rollout.episodes import Episodes

RESULTS: Final = Path(__file__).parent / "results" / "plugin_binding.json"
ROUNDS: Final = 100
CALLS: Final = 1_000
"""In a round of one way: short, so that a change in the machine's speed meets both alike."""
LAYERS: Final = 2
RUN: Final = RunInfo("bench", Path(), Path(), 0, 1, 1, 1, 1)

Way = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        ours: The way through the host.
        other: The way that it is compared with.
        goal: The most that ``ours / other`` may be.
        count: Calls or samples that each way makes in one round.
    """

    ours: Way
    other: Way
    goal: float
    count: int


def main() -> int:
    """Print the figures as JSON; exit status 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write", action="store_true", help="write results/plugin_binding.json")
    found = parser.parse_args()
    rows = asyncio.run(measure_all(found.rounds))
    packages = ("slime-rl", "slime-hookspecs", "pluggy")
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {
            "python": platform.python_version(),
            **{one: version(one) for one in packages},
        },
        "rounds": found.rounds,
        "rows": rows,
        "ok": all(row["ok"] for row in rows.values()),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if found.write:
        RESULTS.write_text(text + "\n")
    return int(not result["ok"])


async def measure_all(rounds: int) -> dict[str, Any]:
    """Every row by name."""
    rows = {**call_rows(), **wrapped_rows(), "run/relay": relay_row()}
    return {name: await measure(row, rounds) for name, row in rows.items()}


async def measure(row: Row, rounds: int) -> dict[str, Any]:
    """Median nanoseconds of processor time of both ways, and the median ratio of the pairs."""
    for way in (row.ours, row.other):
        await way()
    pairs = [(await _seconds(row.ours), await _seconds(row.other)) for _ in range(rounds)]
    ratio = statistics.median(ours / other for ours, other in pairs)
    ours, other = (statistics.median(way) / row.count * 1e9 for way in zip(*pairs, strict=True))
    return {
        "ours_ns": round(ours, 1),
        "other_ns": round(other, 1),
        "ratio": round(ratio, 3),
        "goal": row.goal,
        "ok": ratio <= row.goal,
    }


async def _seconds(way: Way) -> float:
    start = time.thread_time()  # of the processor: other programs may take turns with this one
    await way()
    return time.thread_time() - start


def bind(plugin: object) -> dict[str, BoundHook]:
    """The plugin's hooks, verified and bound as in a run."""
    found = Plugin("task", "bench", "1.0", "bench", (), "")
    return {
        name: BoundHook("task", "1.0", name, None, one.is_async, 1.0, one.function, adapt(one))
        for name, one in implementations(LoadedPlugin(found, plugin)).items()
    }


def loop(call: str, count: int = CALLS) -> Callable[..., Awaitable[None]]:
    """A coroutine function that makes a call again and again, with nothing else in its loop."""
    source = f"async def loop(function, a, b, c):\n    for _ in range({count}):\n        {call}\n"
    space: dict[str, Any] = {}
    exec(source, space)
    made: Callable[..., Awaitable[None]] = space["loop"]
    return made


# --- a bound call beside a direct one


class Instance:
    """A plugin that is an object."""

    @hookimpl
    def slime_reward(self, sample: Any) -> float:
        return 1.0


@hookimpl
def takes_all(sample: Any, ctx: Any) -> float:
    return 1.0


@hookimpl
def takes_first(sample: Any) -> float:
    return 1.0


@hookimpl
def takes_second(ctx: Any) -> float:
    return 1.0


@hookimpl
def takes_reversed(ctx: Any, sample: Any) -> float:
    return 1.0


@hookimpl
async def is_awaited(sample: Any) -> float:
    return 1.0


def call_rows() -> dict[str, Row]:
    """All of a reward's arguments in order, some, others; a method and a coroutine function."""
    cases = {
        "all": (SimpleNamespace(slime_reward=takes_all), "function(a, b)"),
        "first": (SimpleNamespace(slime_reward=takes_first), "function(a)"),
        "second": (SimpleNamespace(slime_reward=takes_second), "function(b)"),
        "reversed": (SimpleNamespace(slime_reward=takes_reversed), "function(b, a)"),
        "method": (Instance(), "function(a)"),
        "awaited": (SimpleNamespace(slime_reward=is_awaited), "await function(a)"),
    }
    return {f"call/{name}": _call_row(*case) for name, case in cases.items()}


def _call_row(plugin: object, call: str) -> Row:
    hook = bind(plugin)["slime_reward"]
    wait = "await " if hook.is_async else ""
    direct, bound = loop(call), loop(f"{wait}function(a, b)")
    return Row(lambda: bound(hook.call, 1, 2, 3), lambda: direct(hook.function, 1, 2, 3), 2, CALLS)


# --- two wrappers beside none


class Task:
    """A plugin whose hooks take what most take, which is not all."""

    @hookimpl
    async def slime_generate(self, sample: Sample, engine: Any) -> Sample:
        return sample

    @hookimpl
    async def slime_reward(self, sample: Sample) -> float:
        return 1.0

    @hookimpl
    def slime_filter(self, group: Group) -> Verdict:
        return KEEP

    @hookimpl
    async def slime_wrap_generate(self, call_next: Any, sample: Sample, engine: Any) -> Sample:
        answer: Sample = await call_next(sample, engine)
        return answer


def wrapped_rows() -> dict[str, Row]:
    """The same two layers without contexts, and as the rollout composes them."""
    hooks = bind(Task())
    generate, wrap = hooks["slime_generate"], hooks["slime_wrap_generate"]
    sample, direct, inside = _sample(0), loop("await function(a, b)"), loop("await function(a, b)")
    chain = _innermost(generate)
    for _ in range(LAYERS):
        chain = _link(wrap, chain)
    rollout, alone = (_rollout_chain(generate, (wrap,) * layers) for layers in (LAYERS, 0))
    return {
        "wrapped/hooks": Row(
            lambda: inside(chain, sample, None, None),
            lambda: direct(generate.function, sample, None, None),
            5,
            CALLS,
        ),
        "wrapped/rollout": Row(
            lambda: inside(rollout, sample, None, None),
            lambda: direct(alone, sample, None, None),
            5,
            CALLS,
        ),
    }


def _innermost(hook: BoundHook) -> Any:
    call = hook.call
    return lambda sample, engine: call(sample, engine, None)


def _link(hook: BoundHook, call_next: Any) -> Any:
    call = hook.call
    return lambda sample, engine: call(call_next, sample, engine, None)


def _rollout_chain(generate: BoundHook, wraps: tuple[BoundHook, ...]) -> Any:
    """Generation as ``Episodes`` composes it."""
    hooks: Any = SimpleNamespace(generate=generate, wrap_generate=wraps)
    unused: Any = mock.sentinel
    made = Episodes(
        hooks,
        Contexts(RUN),
        Scene(step=0, weight_version=0),
        unused.client,
        unused.scorer,
        timeout_s=60.0,
        next_index=lambda: 0,
    )
    return made._generate


# --- a run's worth of samples beside pluggy's relay


def relay_row() -> Row:
    """Generate, reward and filter for each sample."""
    task = Task()
    samples = [_sample(number) for number in range(CALLS)]
    group = Group(0, samples[0].prompt, samples[:8])
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(SlimeSpecs)
    manager.register(task)
    hooks, relay = bind(task), manager.hook
    generate, reward, judge = (
        hooks[f"slime_{one}"].call for one in ("generate", "reward", "filter")
    )

    async def bound() -> None:
        for sample in samples:
            await generate(sample, None, None)
            await reward(sample, None)
            judge(group, None)

    async def through_pluggy() -> None:
        for sample in samples:
            await relay.slime_generate(sample=sample, engine=None, ctx=None)[0]
            await relay.slime_reward(sample=sample, ctx=None)[0]
            relay.slime_filter(group=group, ctx=None)[0]

    return Row(bound, through_pluggy, 1 / 5, CALLS)


def _sample(number: int) -> Sample:
    return Sample(number, number // 8, Prompt(str(number), []))


if __name__ == "__main__":
    raise SystemExit(main())
