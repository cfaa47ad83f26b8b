"""Where groups are made: everything that a step or an evaluation needs, open for a whole run."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import final

from slime_hookspecs import EvalSet, Group, Rollout, RunInfo, Sampling

from slime_core.config.schema import Config
from slime_core.rollout.accounting import Account, Limits
from slime_core.rollout.advantages import set_advantages
from slime_core.rollout.collecting import collect
from slime_core.rollout.contexts import Contexts, Scene
from slime_core.rollout.drawing import Drawing
from slime_core.rollout.episodes import Client, Episodes
from slime_core.rollout.evaluation import eval_metrics, groups_of
from slime_core.rollout.finishing import Finishing
from slime_core.rollout.flights import Flight
from slime_core.rollout.hooks import Hooks
from slime_core.rollout.inflight import Finish, InFlight
from slime_core.rollout.lag import Lag, Suspects, watched_loop
from slime_core.rollout.live_checks import LiveChecks
from slime_core.rollout.observers import Observers
from slime_core.rollout.recorder import Recorder
from slime_core.rollout.reward_pool import RewardPool
from slime_core.rollout.rewards import Scorer
from slime_core.rollout.staleness import age_metrics, trainer_version
from slime_core.rollout.stream import Batch, Stream
from slime_core.rollout.tally import Tally

#: Opens a client whose requests sample like this unless a plugin says otherwise.
OpenClient = Callable[[Sampling], Client]


@final
@dataclass(frozen=True, slots=True)
class Studio:
    """The parts of a run's rollouts, wired once.

    Attributes:
        context_length: Most tokens of prompt and response together.
        pool: Worker processes, if a reward is a plain function.
        checks: Looks at the first calls of each hook.
        suspects: Knows whose code blocks the event loop.
        recorder: Keeps times and losses until a step takes them; not of evaluations.
    """

    config: Config
    run: RunInfo
    hooks: Hooks
    contexts: Contexts
    observers: Observers
    context_length: int
    pool: RewardPool | None
    checks: LiveChecks
    suspects: Suspects
    recorder: Recorder = field(default_factory=Recorder)

    async def roll(
        self,
        scene: Scene,
        client: Client,
        drawing: Drawing,
        carried: Mapping[str, int] = MappingProxyType({}),
    ) -> Rollout:
        """One step's groups, scored, filtered and with advantages.

        Args:
            carried: Books that a resumed run goes on with.
        """
        limits = limits_of(self.config, scene.weight_version)
        account, tally = Account(scene.step, limits), Tally()
        account.carry(carried)
        started = time.perf_counter()
        async with self._watched_loop() as lag:
            inflight = self._in_flight(scene, client, drawing.next_index)
            groups = await collect(drawing, inflight, limits, account, tally)
        batch = Batch(groups, account, tally, time.perf_counter() - started)
        return self._rollout(scene, batch, lag)

    def stream(
        self, step: int, client: Client, drawing: Drawing, carried: Mapping[str, int]
    ) -> Stream:
        """Generation without a pause, whose first groups ``step`` trains on.

        Args:
            carried: Books that a resumed run goes on with.
        """

        def launch(scene: Scene, before: InFlight | None) -> InFlight:
            if before is None:
                return self._in_flight(scene, client, drawing.next_index)
            before.use(*self._crew(scene, client, drawing.next_index))
            return before

        limits = limits_of(self.config)
        account = Account(step, limits)
        account.carry(carried)
        return Stream(drawing, limits, self.config.max_staleness, launch, account)

    async def take(self, scene: Scene, stream: Stream) -> Rollout:
        """The groups that a step trains on, of those that are generated without a pause."""
        async with self._watched_loop() as lag:
            batch = await stream.take(scene)
        return self._rollout(scene, batch, lag)

    def _rollout(self, scene: Scene, batch: Batch, lag: Lag) -> Rollout:
        """Advantages and metrics of the groups that a step trains on."""
        groups, account, tally = batch.groups, batch.account, batch.tally
        self.give_advantages(scene, groups)
        tokens = tally.sampled_tokens - account.tokens_elsewhere
        metrics = account.metrics() | tally.metrics() | lag.metrics()
        metrics |= age_metrics(groups, trainer_version(scene))
        metrics |= {
            "rollout/aborted": float(account.aborted),
            "rollout/failed": float(account.failed_samples),
            "rollout/tokens": float(tokens),
            "rollout/tokens_per_s": tokens / max(batch.seconds, 1e-9),
            "rollout/seconds": batch.seconds,
        }
        return Rollout(scene.step, groups, scene.weight_version, metrics)

    def give_advantages(self, scene: Scene, groups: list[Group]) -> None:
        """Set the advantage of each scored sample."""
        hook = self.checks.hook(self.hooks.advantage)
        make = self.contexts.maker(hook, scene, "group")
        for group in groups:
            set_advantages(group, hook, make(group.index))

    async def announce(self, scene: Scene, rollout: Rollout) -> None:
        """Tell the observers of whole rollouts."""
        for hook in self.hooks.on_rollout:
            make = self.contexts.maker(hook, scene, "rollout")
            await self.observers.tell(hook, rollout, make(scene.step))

    async def measure(self, scene: Scene, eval_set: EvalSet, client: Client) -> dict[str, float]:
        """Metrics of one held-out set: all its prompts, nothing filtered."""
        groups = groups_of(eval_set, self.hooks.provenance)
        spare = itertools.count(len(groups) * eval_set.samples_per_prompt)
        inflight = self._in_flight(scene, client, lambda: next(spare))
        try:
            async with self._watched_loop():
                for group in groups:
                    inflight.start(Flight.of(group))
                ended = [await inflight.next() for _ in groups]
        except BaseException:
            await inflight.stop(grace_s=0.0)
            raise
        in_order = sorted((outcome.group for outcome in ended), key=lambda group: group.index)
        return eval_metrics(eval_set, in_order)

    def _watched_loop(self) -> AbstractAsyncContextManager[Lag]:
        return watched_loop(self.suspects, self.config.rollout.loop_lag_limit_s)

    def _in_flight(self, scene: Scene, client: Client, next_index: Callable[[], int]) -> InFlight:
        crew = self._crew(scene, client, next_index)
        recorder = self.recorder if scene.evaluating is None else None
        return InFlight(*crew, client, self.config.rollout.concurrency, recorder)

    def _crew(
        self, scene: Scene, client: Client, next_index: Callable[[], int]
    ) -> tuple[Episodes, Finish]:
        """Who generates and who finishes groups in a scene."""
        config, hooks = self.config.rollout, self.checks.watch(self.hooks)
        scorer = Scorer(hooks, self.contexts, scene, self.pool, config.reward_timeout_s)
        episodes = Episodes(
            hooks,
            self.contexts,
            scene,
            client,
            scorer,
            timeout_s=config.generate_timeout_s,
            next_index=next_index,
        )
        finishing = Finishing(
            hooks, self.contexts, scene, scorer, self.observers, self.context_length
        )
        return episodes, finishing.finish


def limits_of(config: Config, weight_version: int = 0) -> Limits:
    """What a step of this run aims at."""
    return Limits(
        target=config.rollout.prompts_per_step,
        spare=config.rollout.over_sample,
        samples=config.rollout.samples_per_prompt,
        failed_fraction=config.max_failed_fraction,
        skipped_fraction=config.rollout.max_skipped_fraction,
        oldest_version=weight_version if config.mask_stale_tokens else 0,
    )


def keeps_partial(config: Config) -> bool:
    """Whether groups that are stopped go on later; without a pause they always do."""
    return config.partial_rollout or config.schedule == "async"


def default_sampling(config: Config) -> Sampling:
    """How the run samples unless a plugin says otherwise."""
    rollout = config.rollout
    return Sampling(
        max_new_tokens=rollout.max_response_tokens,
        temperature=rollout.temperature,
        top_p=rollout.top_p,
        top_k=rollout.top_k,
        stop=list(rollout.stop) or None,
    )
