"""Everything that runs while a run lasts: servers, router, rollout worker, trainer ranks.

``machinery`` starts them side by side, checks that all loaded the same plugins, and stops them in
every case. ``Machinery`` is what ``train.py`` holds: one method for each thing that a step does.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from slime_hookspecs import PluginError, RunInfo

from slime_core.config.schema import Config
from slime_core.engine.address import ServingAddress
from slime_core.launch import Launch
from slime_core.observe.logs import take_over
from slime_core.observe.rundir import RunDir
from slime_core.placement.cluster import Cluster, cluster
from slime_core.placement.results import result, results, wait_quietly
from slime_core.placement.spawn import Actor, spawn
from slime_core.serving import servers_starting
from slime_core.updates import Updates
from slime_core.watch import Watch

_STOP_TIMEOUT_S = 10.0


@final
@dataclass(frozen=True, slots=True)
class Rank:
    """A trainer rank: its actor, and the data-parallel shard that it trains on."""

    actor: Actor
    dp_rank: int


@final
@dataclass(frozen=True, slots=True)
class Machinery:
    """The running parts of a run."""

    config: Config
    run_dir: RunDir
    rollouts: Actor
    ranks: tuple[Rank, ...]
    updates: Updates | None

    @property
    def trains(self) -> bool:
        """Whether there is a trainer; not so for ``--debug-rollout-only``."""
        return bool(self.ranks)

    @property
    def first_version(self) -> int:
        """Weight version of the first sync: 1, or 0 (the model folder) where nothing is sent."""
        return int(self.trains)

    def begin_rollout(self, step: int, weight_version: int) -> Any:
        """Begin to generate, score and pack one step. Returns at once, for ``finish_rollout``."""
        if self.config.debug_train_only:
            return self.rollouts.call("replay", step)
        method = "take" if self.config.schedule == "async" else "generate"
        return self.rollouts.call(method, step, weight_version)

    def finish_rollout(self, begun: Any) -> Any:
        """Wait for a rollout that was begun. Returns its ``StepData``."""
        batch = self._rollout(begun)
        if self.updates is not None:
            batch.metrics.update(self.updates.watch.metrics())
        return batch

    def evaluate(self, step: int, weight_version: int) -> dict[str, float]:
        """Measure the held-out sets. Returns ``eval/...`` metrics."""
        return self.finish_evaluation(self.begin_evaluation(step, weight_version))

    def begin_evaluation(self, step: int, weight_version: int) -> Any:
        """Begin to measure the held-out sets. Returns at once, for ``finish_evaluation``."""
        return self.rollouts.call("evaluate", step, weight_version)

    def finish_evaluation(self, begun: Any) -> dict[str, float]:
        """Wait for an evaluation that was begun. Returns ``eval/...`` metrics."""
        found: dict[str, float] = self._rollout(begun)
        return found

    def train(self, step: int, shards: Sequence[Any]) -> dict[str, float]:
        """Take the optimizer updates of a step on all ranks. Returns rank 0's metrics."""
        found: dict[str, float] = self._ranks(
            [rank.actor.call("train", step, shards[rank.dp_rank]) for rank in self.ranks],
            "training",
        )[0]
        if self.updates is not None:
            self.updates.trained = True
        return found

    def sync_weights(self, version: int, *, first: bool) -> dict[str, float]:
        """Send the trainer's weights to the servers, as ``version``; nothing without both."""
        if not self.ranks or self.updates is None:
            return {}
        verify = self.config.weights.verify == "always" or (
            first and self.config.weights.verify == "first"
        )
        if self.config.schedule == "async":
            self._rollout(self.rollouts.call("hold"))
        found = self.updates.send(version, verify)
        if self.config.schedule == "async":
            self._rollout(self.rollouts.call("release", version))
        return found

    def save(self, step: int) -> Path:
        """Write a checkpoint after ``step`` steps, whole or not at all. Returns its folder."""
        partial = self.run_dir.partial_checkpoint(step)
        if self.ranks:
            self._ranks([r.actor.call("save_checkpoint", partial / "megatron") for r in self.ranks])
            self._ranks([r.actor.call("save_hf", partial / "hf") for r in self.ranks])
        state = self._rollout(self.rollouts.call("state", step))
        (partial / "state.json").write_text(json.dumps({"step": step, "rollout": state}), "utf-8")
        (partial / "plan.json").write_bytes(self.run_dir.plan_file.read_bytes())
        path = self.run_dir.commit_checkpoint(step)
        self.run_dir.prune(self.config.checkpoint.keep)
        return path

    def restore(self, checkpoint: Path) -> None:
        """Continue from a checkpoint: weights, optimizer, random states, data and buffer."""
        state = json.loads((checkpoint / "state.json").read_text("utf-8"))
        self._rollout(self.rollouts.call("restore", state["rollout"]))
        if self.ranks:
            self._ranks(
                [r.actor.call("load_checkpoint", checkpoint / "megatron") for r in self.ranks]
            )

    def _rollout(self, ref: Any) -> Any:
        # The trainer is idle, so servers that were started anew can have its weights.
        mend = self.updates.mend if self.updates else _nothing
        return result(ref, "rollout worker", self.run_dir.logs / "rollout.log", mend)

    def _ranks(self, refs: Sequence[Any], what: str = "checkpoint") -> list[Any]:
        look = self.updates.watch.look if self.updates else _nothing
        return results(refs, f"trainer ({what})", self.run_dir.logs / "rank_0.log", look)


@contextlib.contextmanager
def machinery(
    launch: Launch, run_dir: RunDir, run: RunInfo, model: Path, say: Callable[[str], None]
) -> Iterator[Machinery]:
    """Start all that the run needs, side by side, and stop it whatever happens.

    Args:
        launch: Configuration and plan.
        run_dir: Where logs go.
        run: Facts of the run, for plugins.
        model: Folder that the servers begin with: the model, or a checkpoint's.
        say: Shows a line to the user.
    """
    config = launch.config
    with cluster(config) as ray_cluster, contextlib.ExitStack() as stack:
        take_over()
        # A checkpoint may be gone when a server fails, and the trainer's weights come in any case.
        again = run.model if ray_cluster.layout.ranks else model
        servers = stack.enter_context(
            servers_starting(ray_cluster, config, run_dir.logs, model, again)
        )
        ranks = [_spawn_rank(ray_cluster, launch, run_dir, run, i) for i in _ranks(ray_cluster)]
        rollouts = _spawn_rollouts(launch, run_dir, run)
        stack.callback(_close, [*ranks, rollouts])
        started = rollouts.call("start")
        set_up = _set_up_ranks(ranks)
        watch = servers.wait(say)
        infos = results(set_up, "trainer (start)", ranks[0].log_file if ranks else None)
        fingerprint = result(started, "rollout worker (start)", rollouts.log_file)
        _check_fingerprints(launch, fingerprint, infos)
        address = watch and ServingAddress(watch.router.url, watch.running())
        connected = [rank.call("connect", address) for rank in ranks if address is not None]
        results([*connected, rollouts.call("connect", address)], "connecting to the servers")
        placed = tuple(Rank(actor, info.dp_rank) for actor, info in zip(ranks, infos, strict=True))
        updates = watch and _updates(watch, ranks, run_dir, config.weights.verify != "never")
        yield Machinery(config, run_dir, rollouts, placed, updates)


def _updates(watch: Watch, ranks: Sequence[Actor], run_dir: RunDir, verifies: bool) -> Updates:
    def call(method: str, *args: Any) -> list[Any]:
        refs = [rank.call(method, *args) for rank in ranks]
        return results(refs, "trainer (weight update)", run_dir.logs / "rank_0.log", watch.look)

    return Updates(watch.router.url, watch.lives(), watch, call if ranks else None, verifies)


def _nothing() -> None:
    """There are no servers to look after."""


def _ranks(ray_cluster: Cluster) -> range:
    return range(len(ray_cluster.layout.ranks))


def _spawn_rollouts(launch: Launch, run_dir: RunDir, run: RunInfo) -> Actor:
    return spawn(
        "slime_core.rollout.worker:RolloutWorker",
        *(launch.config, launch.plan.to_json(), run, None),
        name="rollout worker",
        log_file=run_dir.logs / "rollout.log",
        coroutines=True,
    )


def _spawn_rank(
    ray_cluster: Cluster, launch: Launch, run_dir: RunDir, run: RunInfo, index: int
) -> Actor:
    layout, config = ray_cluster.layout, launch.config
    return spawn(
        "slime_core.trainer.rank:TrainerRank",
        *(config, launch.plan.to_json(), run, index, len(layout.ranks)),
        name=f"trainer rank {index}",
        log_file=run_dir.logs / f"rank_{index}.log",
        num_gpus=(0.4 if config.colocate else 1.0) if layout.accelerated else 0,
        strategy=ray_cluster.strategy(layout.ranks[index]),
        env={"OMP_NUM_THREADS": str(config.train.threads)},
    )


def _set_up_ranks(ranks: Sequence[Actor]) -> list[Any]:
    if not ranks:
        return []
    host, port = result(ranks[0].free_address(), "trainer (start)", ranks[0].log_file)
    return [rank.call("setup", host, port) for rank in ranks]


def _close(actors: Sequence[Actor]) -> None:
    wait_quietly([actor.call("close") for actor in actors], _STOP_TIMEOUT_S)


def _check_fingerprints(launch: Launch, of_rollouts: str, infos: Sequence[Any]) -> None:
    """Refuse a run in which a process loaded other plugins than the driver.

    Raises:
        PluginError: with the processes that differ.
    """
    found = {"rollout worker": of_rollouts}
    found |= {f"trainer rank {i}": info.fingerprint for i, info in enumerate(infos)}
    expected = launch.plan.fingerprint
    differ = [f"    {who}: {print_[:12]}" for who, print_ in found.items() if print_ != expected]
    if differ:
        raise PluginError(
            f"the driver's plugins have fingerprint {expected[:12]}, but\n"
            + "\n".join(differ)
            + "\n  Install the same plugin versions on every node; `slime --dry-run` lists them."
        )
