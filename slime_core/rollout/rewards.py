"""Scores samples and groups: the weighted sum of all reward plugins, each with its wrappers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias, final

from slime_hookspecs import AnyContext, Group, NextReward, Reward, Sample, SampleError

from slime_core.plugins import BoundHook
from slime_core.rollout.blame import blame, cancelled_itself, sample_error
from slime_core.rollout.contexts import Contexts, MakeContext, Scene
from slime_core.rollout.hooks import Hooks
from slime_core.rollout.reward_pool import RewardPool
from slime_core.rollout.timeouts import TimeLimit
from slime_core.rollout.values import as_reward, as_rewards

ScoreGroup: TypeAlias = Callable[[Group], Awaitable[Any]]
SETTING = "--rollout-reward-timeout-s"


@final
class Scorer:
    """All rewards of a run, composed once for a scene."""

    def __init__(
        self,
        hooks: Hooks,
        contexts: Contexts,
        scene: Scene,
        pool: RewardPool | None,
        timeout_s: float,
    ) -> None:
        self._contexts = contexts
        self._scene = scene
        self._pool = pool
        self._limit = TimeLimit(timeout_s, SETTING)
        self._rewards = [(hook, self._wrapped(hook, hooks.wrap_reward)) for hook in hooks.rewards]
        self._group_rewards = [(hook, self._group_call(hook)) for hook in hooks.group_rewards]

    async def score(self, sample: Sample) -> None:
        """Set ``rewards`` and ``reward``, or ``error`` where a reward plugin failed."""
        total = 0.0
        for hook, call in self._rewards:
            try:
                reward = as_reward(await call(sample))
            except Exception as error:
                blame(error, hook, f"sample {sample.index}")
                sample.error = sample_error(error, hook.hook)
                return
            except asyncio.CancelledError:
                sample.error = cancelled_itself(hook)
                if sample.error is None:
                    raise
                return
            sample.rewards[hook.plugin] = reward
            total += hook.weight * reward.value
        sample.reward = total

    async def score_group(self, group: Group) -> None:
        """Add the group rewards to the scored samples; a failure costs all of them."""
        scored = group.scored
        for hook, call in self._group_rewards if scored else ():
            try:
                values = as_rewards(
                    await call(Group(group.index, group.prompt, scored)), len(scored)
                )
            except Exception as error:
                blame(error, hook, f"group {group.index}")
                _fail(scored, sample_error(error, hook.hook))
                return
            except asyncio.CancelledError:
                leaked = cancelled_itself(hook)
                if leaked is None:
                    raise
                _fail(scored, leaked)
                return
            for sample, reward in zip(scored, values, strict=True):
                _add(sample, hook, reward)

    def _wrapped(self, hook: BoundHook, wraps: tuple[BoundHook, ...]) -> NextReward:
        call = self._call(hook)
        for wrap in reversed(wraps):
            call = self._link(wrap, call)
        return call

    def _link(self, wrap: BoundHook, call_next: NextReward) -> NextReward:
        make = self._maker(wrap, "sample")

        async def link(sample: Sample) -> float | Reward:
            try:
                value: float | Reward = await wrap.call(call_next, sample, make(sample.index))
            except Exception as error:
                blame(error, wrap, f"sample {sample.index}")
                raise
            return value

        return link

    def _call(self, hook: BoundHook) -> NextReward:
        """The reward itself, under its time limit; blame is laid here, inside all wrappers."""
        make, run = self._maker(hook, "sample"), self._runner(hook)

        async def call(sample: Sample) -> float | Reward:
            try:
                value: float | Reward = await run(sample, make(sample.index))
            except Exception as error:
                blame(error, hook, f"sample {sample.index}")
                raise
            return value

        return call

    def _group_call(self, hook: BoundHook) -> ScoreGroup:
        make, run = self._maker(hook, "group"), self._runner(hook)
        return lambda group: run(group, make(group.index))

    def _runner(self, hook: BoundHook) -> Callable[[Any, AnyContext], Awaitable[Any]]:
        call, limit, pool = hook.call, self._limit, self._pool
        if hook.is_async:
            return lambda subject, context: limit.run(call(subject, context))
        if pool is None:
            raise RuntimeError("a reward written as a plain function needs the worker pool")
        return partial(pool.run, hook)

    def _maker(self, hook: BoundHook, kind: str) -> MakeContext:
        return self._contexts.maker(hook, self._scene, kind, self._limit.timeout_s)


def _add(sample: Sample, hook: BoundHook, reward: Reward) -> None:
    sample.rewards[hook.plugin] = reward
    sample.reward = (sample.reward or 0.0) + hook.weight * reward.value


def _fail(samples: list[Sample], error: SampleError) -> None:
    for sample in samples:
        sample.error = error
        sample.reward = None
