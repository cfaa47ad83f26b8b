"""How long generation and rewards take, through the rollout as it runs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from rollout_fakes import FakeClient, config_of, generate, hook, studio_of
from slime_hookspecs import ConfigError, Context, Group, Prompt, Rollout, Sample

from slime_core.builtin import timing
from slime_core.config.schema import Config
from slime_core.plugins import BoundHook, bind
from slime_core.rollout.contexts import Scene

SCENE = Scene(step=0, weight_version=1)
PROMPT = Prompt("p", [{"role": "user", "content": "1+1="}])
PAUSE_S = 0.02


def hooks() -> list[BoundHook]:
    """The plugin's hooks as the host binds them."""
    _, bound = bind(Config(plugins=["timing"]), [])
    names = ("slime_wrap_generate", "slime_wrap_reward", "slime_on_rollout")
    return [hook for name in names for hook in bound.all(name)]


async def slowly(sample: Sample, engine: Any, ctx: Any) -> Sample:
    await asyncio.sleep(PAUSE_S)
    return await generate(sample, engine, ctx)


async def score(sample: Sample, ctx: Any) -> float:
    await asyncio.sleep(PAUSE_S)
    return 1.0


def rollout_of(*times: dict[str, float] | None) -> Rollout:
    samples = [Sample(i, 0, PROMPT) for i, _ in enumerate(times)]
    for sample, one in zip(samples, times, strict=True):
        if one is not None:
            sample.metadata["timing"] = one
    return Rollout(0, [Group(0, PROMPT, samples)], 1, {"reward/mean": 0.5})


async def test_a_step_reports_the_seconds_of_its_samples() -> None:
    rewards = [hook("slime_reward", score, name) for name in ("one", "two")]
    studio, drawing = studio_of(
        config_of(), hook("slime_generate", slowly, "slow"), *rewards, *hooks()
    )
    start = time.perf_counter()
    rollout = await studio.roll(SCENE, FakeClient(), drawing)
    await studio.announce(SCENE, rollout)
    wall = time.perf_counter() - start
    times = [s.metadata["timing"] for group in rollout.groups for s in group.samples]
    assert len(times) == 8
    assert all(PAUSE_S <= one["generate_s"] <= wall for one in times)
    assert all(2 * PAUSE_S <= one["reward_s"] <= wall for one in times), "both rewards count"
    told = {n: v for n, v in rollout.metrics.items() if n.startswith("timing/")}
    assert set(told) == {
        f"timing/{phase}_{what}"
        for phase in ("generate_s", "reward_s")
        for what in ("mean", "p95", "max")
    }
    assert told["timing/generate_s_max"] == max(one["generate_s"] for one in times)


async def test_siblings_carry_the_time_of_the_episode_each_for_itself() -> None:
    async def twins(sample: Sample, engine: Any) -> list[Sample]:
        await asyncio.sleep(PAUSE_S)
        return [sample, Sample(7, 0, PROMPT)]

    sample = Sample(0, 0, PROMPT)
    engine: Any = None
    found = await timing.slime_wrap_generate(twins, sample, engine)
    assert isinstance(found, list)
    first, second = (one.metadata["timing"] for one in found)
    assert first == second
    assert first is not second


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError()])
async def test_an_episode_that_fails_is_timed_and_its_error_passes(error: BaseException) -> None:
    async def fails(sample: Sample, engine: Any) -> Sample:
        await asyncio.sleep(PAUSE_S)
        raise error

    sample, engine = Sample(0, 0, PROMPT), None
    with pytest.raises(type(error)):
        await timing.slime_wrap_generate(fails, sample, engine)  # type: ignore[arg-type]
    assert sample.metadata["timing"]["generate_s"] >= PAUSE_S


async def test_attempts_at_one_sample_add_up() -> None:
    async def inner(sample: Sample, engine: Any) -> Sample:
        await asyncio.sleep(PAUSE_S)
        return sample

    sample, engine = Sample(0, 0, PROMPT), None
    for _ in range(3):
        await timing.slime_wrap_generate(inner, sample, engine)  # type: ignore[arg-type]
    assert sample.metadata["timing"]["generate_s"] >= 3 * PAUSE_S


def test_numbers_are_mean_nearest_rank_and_longest(make_context: Any) -> None:
    rollout = rollout_of(*({"generate_s": float(i)} for i in range(1, 101)))
    ctx: Context[Any] = make_context(timing.Options())
    timing.slime_on_rollout(rollout, ctx)
    assert rollout.metrics == {
        "reward/mean": 0.5,
        "timing/generate_s_mean": 50.5,
        "timing/generate_s_p95": 95.0,
        "timing/generate_s_max": 100.0,
    }


@pytest.mark.parametrize("times", [(), (None, None)])
def test_samples_without_a_time_have_no_part_in_it(
    times: tuple[None, ...], make_context: Any
) -> None:
    rollout = rollout_of(*times)
    timing.slime_on_rollout(rollout, make_context(timing.Options()))
    assert rollout.metrics == {"reward/mean": 0.5}


@pytest.mark.parametrize(
    ("count", "percentile", "expected"),
    [(1, 1, 1), (1, 99, 1), (2, 50, 1), (2, 51, 2), (10, 95, 10), (20, 95, 19), (20, 5, 1)],
)
def test_a_percentile_is_a_value_that_was_measured(
    count: int, percentile: int, expected: int
) -> None:
    values = [float(one) for one in range(count, 0, -1)]
    assert timing.nearest_rank(values, percentile) == expected


@pytest.mark.parametrize("percentile", [0, 100, -5])
def test_what_is_no_percentile_is_refused_by_name(percentile: int) -> None:
    with pytest.raises(ConfigError, match=r"timing.percentile is"):
        timing.Options(percentile)
