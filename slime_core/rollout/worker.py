"""The rollout worker: everything between the data source and the trainer's shards."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from slime_hookspecs import (
    ConfigError,
    EvalSet,
    Group,
    PluginError,
    Rollout,
    RunInfo,
    Sampling,
)

from slime_core.batching import Shard, build_shards
from slime_core.config.schema import Config
from slime_core.engine.address import ServingAddress
from slime_core.engine.client import EngineClient
from slime_core.engine.latency import Latencies
from slime_core.engine.parsing import check as check_parsers
from slime_core.engine.patience import Patience, Redone
from slime_core.gateway.server import Gateway
from slime_core.observe.timeline import Timeline
from slime_core.plugins import Plan, bind_plan, observe_plan
from slime_core.rollout import saved
from slime_core.rollout.accounting import reopened
from slime_core.rollout.blame import blame
from slime_core.rollout.collecting import GRACE_S
from slime_core.rollout.contexts import Contexts, Scene
from slime_core.rollout.drawing import Drawing
from slime_core.rollout.evaluation import merged
from slime_core.rollout.garbage import collect_rarely
from slime_core.rollout.hooks import Hooks, look_up
from slime_core.rollout.lag import Suspects
from slime_core.rollout.live_checks import LiveChecks
from slime_core.rollout.model import context_length, load_tokenizer, parsers
from slime_core.rollout.observers import Observers
from slime_core.rollout.recorder import Recorder
from slime_core.rollout.reward_pool import RewardPool
from slime_core.rollout.reward_process import bind_json
from slime_core.rollout.saver import Saver
from slime_core.rollout.source import open_source
from slime_core.rollout.stream import Stream
from slime_core.rollout.studio import Studio, default_sampling, keeps_partial


@final
@dataclass(frozen=True, slots=True)
class StepData:
    """What a step trains on.

    Attributes:
        shards: One for each data-parallel rank: references into Ray's object store where Ray
            runs, else the ``Shard`` itself.
        metrics: Numbers to report, by name.
        empty: There is nothing to train on.
    """

    shards: list[Any]
    metrics: dict[str, float]
    empty: bool


@final
class RolloutWorker:
    """Makes a step's data. One a run; all its methods are called from one event loop."""

    def __init__(
        self, config: Config, plan_json: str, run: RunInfo, address: ServingAddress | None
    ) -> None:
        self._config = config
        self._plan_json = plan_json
        self._run = run
        self._address = address
        self._clients: list[EngineClient] = []
        self._redone = Redone(config.engine.max_redone_requests)
        self._untrained: dict[int, Rollout] = {}
        self._carried: dict[str, int] = {}
        self._stream: Stream | None = None
        self._latencies = Latencies()
        on = config.observe.timeline
        self._timeline = Timeline.join(run.directory, "rollout worker", 1, on=on)
        self._recorder = _recorder(config, self._timeline)
        folder = run.directory / "rollouts" if config.rollout.save else None
        self._saver = Saver(folder, config.rollout.save_format, self._recorder)
        self._collect_as_before: Callable[[], None] = lambda: None

    async def start(self) -> str:
        """Load plugins, data, tokenizer and reward workers; returns the plan's fingerprint here."""
        plan = Plan.from_json(self._plan_json)
        bound = bind_plan(plan, self._config.plugin)
        observed = await asyncio.to_thread(observe_plan, plan)
        hooks = look_up(bound, observed)
        self._fields, self._owners = bound.batch_fields, bound.field_owners
        self._tokenizer = await asyncio.to_thread(load_tokenizer, self._run.model)
        self._parsers = parsers(self._config)
        # Importing them takes seconds, which the servers need to start in any case.
        await asyncio.to_thread(check_parsers, self._parsers)
        self._gateway = Gateway(self._tokenizer, self._run.model.name, self._parsers)
        await self._gateway.start()
        checks = LiveChecks(self._config.check_plugins)
        self._studio = Studio(
            config=self._config,
            run=self._run,
            hooks=hooks,
            contexts=Contexts(self._run),
            observers=Observers(),
            context_length=context_length(self._config, self._run.model),
            pool=await self._start_pool(hooks),
            checks=checks,
            suspects=Suspects(hooks),
            recorder=self._recorder,
        )
        source = open_source(hooks.data_source, self._run, checks)
        per_prompt = self._config.rollout.samples_per_prompt
        self._drawing = Drawing(
            source, per_prompt, hooks.provenance, partial=keeps_partial(self._config)
        )
        self._eval_sets = _eval_sets(hooks, self._run)
        self._client = self._open_client(default_sampling(self._config))
        self._collect_as_before = collect_rarely()
        return observed.fingerprint

    async def connect(self, address: ServingAddress | None) -> None:
        """Speak to these servers from now on; lets the worker start while they do."""
        await self._client.close()
        self._clients.remove(self._client)
        self._address = address
        self._client = self._open_client(default_sampling(self._config))

    async def generate(self, step: int, weight_version: int) -> StepData:
        """The next step's data, made with these weights.

        Raises:
            TooManyFailures: more samples failed than the run allows.
            RunError: too many prompts are too long, or filters drop nearly everything.
        """
        scene = Scene(step, weight_version)
        self._client.weight_version = weight_version
        carried, self._carried = self._carried, {}
        async with self._saver.losses(scene):
            rollout = await self._studio.roll(scene, self._client, self._drawing, carried)
        if self._config.schedule == "one-step-off":
            # The step before may still be in training now.
            self._untrained = {s: r for s, r in self._untrained.items() if s == step - 1}
            self._untrained[step] = rollout
        return await self._save_and_hand_over(scene, rollout)

    async def take(self, step: int, weight_version: int) -> StepData:
        """The next step's data, of groups that are generated without a pause from here on.

        Raises:
            As ``generate``.
        """
        scene = Scene(step, weight_version)
        self._client.weight_version = weight_version
        if self._stream is None:
            carried, self._carried = self._carried, {}
            self._stream = self._studio.stream(step, self._client, self._drawing, carried)
        async with self._saver.losses(scene):
            rollout = await self._studio.take(scene, self._stream)
        return await self._save_and_hand_over(scene, rollout)

    async def hold(self) -> None:
        """End requests in flight, and let nothing be generated until ``release``."""
        with self._timeline.phase("hold"):
            await self._client.hold()

    def release(self, weight_version: int) -> None:
        """Let generation go on, with these weights."""
        self._client.weight_version = weight_version
        self._client.release()

    async def replay(self, step: int) -> StepData:
        """The data of a saved rollout, with advantages computed anew.

        Raises:
            DataError: the rollout was not saved.
        """
        rollout = await asyncio.to_thread(saved.load, self._replay_folder(), step)
        scene = Scene(step, rollout.weight_version)
        self._studio.give_advantages(scene, rollout.groups)
        rollout.metrics = _replayed_metrics(rollout.groups)
        return await self._hand_over(scene, rollout)

    async def evaluate(self, step: int, weight_version: int) -> dict[str, float]:
        """Metrics of all held-out sets."""
        metrics: dict[str, float] = {}
        for eval_set in self._eval_sets:
            scene = Scene(step, weight_version, evaluating=eval_set.name)
            sampling = merged(default_sampling(self._config), eval_set.sampling)
            client = self._open_client(sampling, evaluating=True)
            client.weight_version = weight_version
            try:
                metrics |= await self._studio.measure(scene, eval_set, client)
            finally:
                self._clients.remove(client)
                await client.close()
        return metrics

    async def state(self, done: int) -> dict[str, Any]:
        """All that ``restore`` needs, as JSON values.

        What is generated without a pause is paused, and goes on with the next ``take``.

        Args:
            done: Steps that were trained on. What was made for later ones is kept for them.
        """
        if self._stream is not None:
            return {"carried": await self._stream.pause(GRACE_S), **self._drawing.state()}
        ahead = [rollout for step, rollout in self._untrained.items() if step >= done]
        groups = [group for rollout in ahead for group in rollout.groups]
        return {**self._drawing.state(groups), "carried": reopened(ahead, self._carried)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with the prompt, index and seed that come after ``state``."""
        self._drawing.restore(state)
        self._carried = dict(state.get("carried", {}))

    async def close(self) -> None:
        """End reward workers and connections. May be called again, and after a failed start."""
        self._collect_as_before()
        if self._stream is not None:
            await self._stream.pause(grace_s=0.0)
            self._stream = None
        for client in self._clients:
            await client.close()
        self._clients.clear()
        gateway: Gateway | None = getattr(self, "_gateway", None)
        if gateway is not None:
            await gateway.close()
        studio: Studio | None = getattr(self, "_studio", None)
        if studio is not None and studio.pool is not None:
            await studio.pool.close()
        await self._saver.close()
        self._timeline.close()

    def _open_client(self, sampling: Sampling, *, evaluating: bool = False) -> EngineClient:
        engine = self._config.engine
        client = EngineClient(
            self._address,
            self._tokenizer,
            defaults=sampling,
            context_length=self._studio.context_length,
            retries=engine.retries,
            parsers=self._parsers,
            patience=Patience(engine.request_timeout_s, engine.wait_s, self._redone),
        )
        client.gateway = self._gateway
        client.latencies = Latencies() if evaluating else self._latencies
        self._clients.append(client)
        return client

    async def _start_pool(self, hooks: Hooks) -> RewardPool | None:
        if not hooks.pooled:
            return None
        rollout = self._config.rollout
        pool = RewardPool(
            partial(bind_json, self._plan_json, self._config.plugin, self._config.check_plugins),
            workers=rollout.reward_workers,
            timeout_s=rollout.reward_timeout_s,
        )
        await pool.start()
        return pool

    async def _save_and_hand_over(self, scene: Scene, rollout: Rollout) -> StepData:
        rollout.metrics |= self._latencies.take()
        await self._saver.save(rollout)
        return await self._hand_over(scene, rollout)

    async def _hand_over(self, scene: Scene, rollout: Rollout) -> StepData:
        studio = self._studio
        rollout.metrics |= self._gateway.take_counts()
        rollout.metrics["engine/redone_requests"] = float(self._redone.take())
        await studio.announce(scene, rollout)
        rollout.metrics |= studio.observers.metrics()
        shards = self._shards(scene, rollout.groups)
        empty = not any(shard.updates for shard in shards)
        return StepData(_stored(shards), rollout.metrics, empty)

    def _shards(self, scene: Scene, groups: Iterable[Group]) -> list[Shard]:
        train = self._config.train
        return build_shards(
            [sample for group in groups for sample in group.trained],
            dp=train.dp,
            updates=train.updates_per_step,
            micro_batch_tokens=train.micro_batch_tokens,
            aggregation=train.aggregation,
            fields=self._fields,
            owners=self._owners,
            oldest_version=scene.weight_version if self._config.mask_stale_tokens else 0,
        )

    def _replay_folder(self) -> Path:
        folder = self._config.rollout.replay
        if folder is None:
            raise ConfigError("replaying needs --rollout-replay FOLDER, the rollouts of a past run")
        return folder


def _recorder(config: Config, timeline: Timeline) -> Recorder:
    """Keeps times for as long as a step may still take a sample."""
    return Recorder(timeline, config.observe.timeline_samples, config.max_staleness + 1)


def _eval_sets(hooks: Hooks, run: RunInfo) -> list[EvalSet]:
    """All held-out sets.

    Raises:
        PluginError: two have the same name. Exceptions of plugins pass.
    """
    owners: dict[str, str] = {}
    sets: list[EvalSet] = []
    for hook in hooks.eval_sets:
        try:
            found = list(hook.call(hook.options, run))
        except Exception as error:
            blame(error, hook, "opening the evaluation sets")
            raise
        for one in found:
            other = owners.setdefault(one.name, hook.plugin)
            if other != hook.plugin or any(one.name == known.name for known in sets):
                raise PluginError(
                    f"plugin {hook.plugin}, slime_eval_sets: plugin {other} has an evaluation set "
                    f"named {one.name!r} already; names must differ"
                )
            sets.append(one)
    return sets


def _replayed_metrics(groups: list[Group]) -> dict[str, float]:
    from slime_core.rollout.tally import Tally

    tally = Tally()
    for group in groups:
        tally.add(group)
    return {**tally.metrics(), "prompts/replayed": float(len(groups))}


def _stored(shards: list[Shard]) -> list[Any]:
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return list(shards)
    return [ray.put(shard) for shard in shards]
