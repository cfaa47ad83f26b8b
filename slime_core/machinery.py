"""Everything that runs while a run lasts: servers, router, rollout worker, trainer ranks.

``machinery`` starts them side by side, checks that all loaded the same plugins, and stops them in
every case. ``Machinery`` is what ``train.py`` holds: one method for each thing that a step does.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
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
from slime_core.placement.layout import server_count
from slime_core.placement.results import result, results, wait_quietly
from slime_core.placement.spawn import spawn

_STOP_TIMEOUT_S = 20.0


@final
@dataclass(frozen=True, slots=True)
class Rank:
    """A trainer rank: its actor, and the data-parallel shard that it trains on."""

    actor: Any
    dp_rank: int


@final
@dataclass(frozen=True, slots=True)
class Machinery:
    """The running parts of a run."""

    config: Config
    run_dir: RunDir
    rollouts: Any
    ranks: tuple[Rank, ...]
    address: ServingAddress | None

    @property
    def trains(self) -> bool:
        """Whether there is a trainer; not so for ``--debug-rollout-only``."""
        return bool(self.ranks)

    @property
    def first_version(self) -> int:
        """Weight version of the first sync: 1, or 0 (the model folder) where nothing is sent."""
        return int(self.trains)

    def generate(self, step: int, weight_version: int) -> Any:
        """Generate, score and pack one step. Returns a ``StepData``."""
        if self.config.debug_train_only:
            return self._rollout(self.rollouts.replay.remote(step))
        return self._rollout(self.rollouts.generate.remote(step, weight_version))

    def evaluate(self, step: int, weight_version: int) -> dict[str, float]:
        """Measure the held-out sets. Returns ``eval/...`` metrics."""
        found: dict[str, float] = self._rollout(self.rollouts.evaluate.remote(step, weight_version))
        return found

    def train(self, step: int, shards: Sequence[Any]) -> dict[str, float]:
        """Take the optimizer updates of a step on all ranks. Returns rank 0's metrics."""
        found: dict[str, float] = self._ranks(
            [rank.actor.train.remote(step, shards[rank.dp_rank]) for rank in self.ranks],
            "training",
        )[0]
        return found

    def sync_weights(self, version: int, *, first: bool) -> dict[str, float]:
        """Send the trainer's weights to the servers, as ``version``; nothing without both."""
        if not self.ranks or self.address is None:
            return {}
        verify = self.config.weights.verify == "always" or (
            first and self.config.weights.verify == "first"
        )
        found: dict[str, float] = self._ranks(
            [rank.actor.sync_weights.remote(version, verify) for rank in self.ranks],
            "weight update",
        )[0]
        return found

    def save(self, step: int) -> Path:
        """Write a checkpoint after ``step`` steps, whole or not at all. Returns its folder."""
        partial = self.run_dir.partial_checkpoint(step)
        if self.ranks:
            self._ranks([r.actor.save_checkpoint.remote(partial / "megatron") for r in self.ranks])
            self._ranks([r.actor.save_hf.remote(partial / "hf") for r in self.ranks])
        state = self._rollout(self.rollouts.state.remote())
        (partial / "state.json").write_text(json.dumps({"step": step, "rollout": state}), "utf-8")
        (partial / "plan.json").write_bytes(self.run_dir.plan_file.read_bytes())
        path = self.run_dir.commit_checkpoint(step)
        self.run_dir.prune(self.config.checkpoint.keep)
        return path

    def restore(self, checkpoint: Path) -> None:
        """Continue from a checkpoint: weights, optimizer, random states, data and buffer."""
        state = json.loads((checkpoint / "state.json").read_text("utf-8"))
        self._rollout(self.rollouts.restore.remote(state["rollout"]))
        if self.ranks:
            self._ranks(
                [r.actor.load_checkpoint.remote(checkpoint / "megatron") for r in self.ranks]
            )

    def _rollout(self, ref: Any) -> Any:
        return result(ref, "rollout worker", self.run_dir.logs / "rollout.log")

    def _ranks(self, refs: Sequence[Any], what: str = "checkpoint") -> list[Any]:
        return results(refs, f"trainer ({what})", self.run_dir.logs / "rank_0.log")


@contextlib.contextmanager
def machinery(launch: Launch, run_dir: RunDir, run: RunInfo, model: Path) -> Iterator[Machinery]:
    """Start all that the run needs and stop it whatever happens.

    Args:
        launch: Configuration and plan.
        run_dir: Where logs go.
        run: Facts of the run, for plugins.
        model: Folder that trainer and servers begin with: the model, or a checkpoint's.
    """
    config, plan_json = launch.config, launch.plan.to_json()
    with cluster(config) as ray_cluster, contextlib.ExitStack() as stack:
        take_over()
        ranks = [_spawn_rank(ray_cluster, launch, run_dir, run, i) for i in _ranks(ray_cluster)]
        set_up = _set_up_ranks(ranks, run_dir)
        address = stack.enter_context(_serving(ray_cluster, config, run_dir, model))
        log_file = run_dir.logs / "rollout.log"
        rollouts = spawn(_rollout_worker(), config, plan_json, run, address, log_file=log_file)
        stack.callback(lambda: wait_quietly([rollouts.close.remote()], _STOP_TIMEOUT_S))
        print_of_rollouts = result(rollouts.start.remote(), "rollout worker", log_file)
        infos = results(set_up, "trainer (start)", run_dir.logs / "rank_0.log")
        stack.callback(lambda: wait_quietly([r.close.remote() for r in ranks], _STOP_TIMEOUT_S))
        _check_fingerprints(launch, print_of_rollouts, infos)
        if address is not None and ranks:
            results([r.connect.remote(address) for r in ranks], "trainer (connecting to servers)")
        placed = tuple(Rank(actor, info.dp_rank) for actor, info in zip(ranks, infos, strict=True))
        yield Machinery(config, run_dir, rollouts, placed, address)


def _ranks(ray_cluster: Cluster) -> range:
    return range(len(ray_cluster.layout.ranks))


def _rollout_worker() -> type:
    from slime_core.rollout.worker import RolloutWorker

    return RolloutWorker


def _spawn_rank(
    ray_cluster: Cluster, launch: Launch, run_dir: RunDir, run: RunInfo, index: int
) -> Any:
    from slime_core.trainer.rank import MegatronRank

    layout, config = ray_cluster.layout, launch.config
    threads = str(config.train.threads)
    return spawn(
        MegatronRank,
        *(config, launch.plan.to_json(), run, index, len(layout.ranks)),
        log_file=run_dir.logs / f"rank_{index}.log",
        num_gpus=(0.4 if config.colocate else 1.0) if layout.accelerated else 0,
        strategy=ray_cluster.strategy(layout.ranks[index]),
        env={"OMP_NUM_THREADS": threads},
    )


def _set_up_ranks(ranks: Sequence[Any], run_dir: RunDir) -> list[Any]:
    if not ranks:
        return []
    host, port = result(
        ranks[0].free_address.remote(), "trainer (start)", run_dir.logs / "rank_0.log"
    )
    return [rank.setup.remote(host, port) for rank in ranks]


@contextlib.contextmanager
def _serving(
    ray_cluster: Cluster, config: Config, run_dir: RunDir, model: Path
) -> Iterator[ServingAddress | None]:
    """The servers, each in an actor of its own, behind the router in this process."""
    if server_count(config) == 0:
        yield None
        return
    from slime_core.serving import serving

    with serving(ray_cluster, config, run_dir.logs, model) as address:
        yield address


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
