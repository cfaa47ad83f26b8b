"""A group's last stage: group rewards, filters, observers, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from slime_hookspecs import Group

from slime_core.rollout.contexts import Contexts, Scene
from slime_core.rollout.filters import judge, mark
from slime_core.rollout.hooks import Hooks
from slime_core.rollout.observers import Observers
from slime_core.rollout.outcomes import Outcome, failure, judged
from slime_core.rollout.rewards import Scorer


@final
class Finishing:
    """Ends groups of one scene. While evaluating nothing is filtered and nobody is told."""

    def __init__(
        self,
        hooks: Hooks,
        contexts: Contexts,
        scene: Scene,
        scorer: Scorer,
        observers: Observers,
        context_length: int,
    ) -> None:
        self._evaluating = scene.evaluating is not None
        self._filters = [(hook, contexts.maker(hook, scene, "group")) for hook in hooks.filters]
        self._watchers = [(hook, contexts.maker(hook, scene, "group")) for hook in hooks.on_group]
        self._scorer = scorer
        self._observers = observers
        self._context_length = context_length

    async def finish(self, group: Group) -> Outcome:
        """What becomes of a group whose samples have all ended."""
        await self._scorer.score_group(group)
        failed = failure(group, self._context_length)
        if failed is not None:
            return failed
        if self._evaluating:
            return Outcome(group, "kept")
        verdict = judge(group, [(hook, make(group.index)) for hook, make in self._filters])
        mark(group.samples, verdict)
        for hook, make in self._watchers:
            await self._observers.tell(hook, group, verdict, make(group.index))
        return judged(group, verdict)


@contextmanager
def unchanged_if_cancelled(group: Group) -> Iterator[None]:
    """Take back half of what group rewards added, where they are cancelled in the middle."""
    before = [(dict(s.rewards), s.reward, s.error) for s in group.samples]
    try:
        yield
    except asyncio.CancelledError:
        for sample, (rewards, reward, error) in zip(group.samples, before, strict=True):
            sample.rewards, sample.reward, sample.error = rewards, reward, error
        raise
