"""One trainer rank, from its first meeting with the others to its end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
import torch.distributed as dist
from slime_hookspecs import Context, RunInfo, TrainerError

from slime_core.batching.shards import Shard
from slime_core.config.schema import Config
from slime_core.engine.address import ServingAddress
from slime_core.observe.timeline import Timeline
from slime_core.trainer.backend import Start, TrainEngine
from slime_core.trainer.backends import trainer_backend
from slime_core.trainer.loss import CHEAP_VOCABULARY, Hook, Objective
from slime_core.trainer.lr import learning_rate
from slime_core.trainer.step import train_step
from slime_core.weights.hf import save_hf
from slime_core.weights.sync import WeightSync

#: Ranks that write to the timeline; all do the same at the same time.
SHOWN_RANKS: Final = 8


@final
@dataclass(frozen=True, slots=True)
class RankInfo:
    """What a rank answers after its setup.

    Attributes:
        rank: Global rank.
        dp_rank: Which ``Shard`` of a step it trains on.
        tp_rank: Rank in the tensor-parallel group.
        pp_rank: Pipeline stage.
        fingerprint: Of the plan that it loaded.
        parameters: Parameters on this rank.
        device: Name of its device.
        dtype: Type of its parameters.
    """

    rank: int
    dp_rank: int
    tp_rank: int
    pp_rank: int
    fingerprint: str
    parameters: int
    device: str
    dtype: str


class TrainerRank:
    """A trainer rank. All of its methods are collective: every rank calls them in the same order.

    Args:
        config: The whole run's configuration.
        plan_json: The frozen plan.
        run: Facts of the run.
        rank: Global rank.
        world: Ranks in all, tp x dp x pp.
    """

    def __init__(self, config: Config, plan_json: str, run: RunInfo, rank: int, world: int) -> None:
        self.config: Final = config
        self.run: Final = run
        self.rank: Final = rank
        self.world: Final = world
        self._plan_json: Final = plan_json
        self._rate: Final = learning_rate(config)
        self._engine: TrainEngine | None = None
        self._bound: Any = None
        self._sync: WeightSync | None = None
        self._updates = 0
        self._weight_version = 0
        shown = config.observe.timeline and rank < SHOWN_RANKS
        self._timeline = Timeline.join(run.directory, f"trainer rank {rank}", 2 + rank, on=shown)

    @property
    def engine(self) -> TrainEngine:
        """Model and optimizer, after ``setup``."""
        if self._engine is None:
            raise TrainerError(f"trainer rank {self.rank}: setup() was not called")
        return self._engine

    def setup(self, master_addr: str, master_port: int) -> RankInfo:
        """Meet the other ranks, bind the plugins, build the model and load its weights.

        Raises:
            ConfigError: the model, the layout or an option cannot be had.
            TrainerError: the ranks did not meet.
        """
        torch.set_num_threads(self.config.train.threads)
        fingerprint = self._bind()
        self._engine = engine = trainer_backend(self._bound).build(
            Start(
                self.config,
                self.run.model,
                self.run.seed,
                sampling_temperature(self.config),
                self.rank,
                self.world,
                f"{master_addr}:{master_port}",
            )
        )
        place, device = engine.place, engine.device
        return RankInfo(
            self.rank,
            place.dp_rank,
            place.tp_rank,
            place.pp_rank,
            fingerprint,
            engine.parameters,
            "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device),
            str(engine.dtype).removeprefix("torch."),
        )

    def train(self, step: int, shard: Shard) -> dict[str, float]:
        """All optimizer updates of a step on this data-parallel rank's shard. All ranks agree.

        Raises:
            PluginError: a trainer hook answered with something else than the contract says.
            TrainerError: the gradient is not finite.
        """
        objective = self._objective(step)
        with self._timeline.phase("train", step=step):
            metrics = train_step(self.engine, objective, self._rate, shard, self._updates)
        self._updates += len(shard.updates)
        return metrics

    def connect(self, address: ServingAddress) -> None:
        """Get ready to send weights to these servers, and to no others any more."""
        if self._sync is not None:
            self._sync.close()
        if self.rank == 0:
            folder = self.run.directory / "weights"
            hf_config = self.engine.hf_config
            self._sync = WeightSync(
                self.config.weights,
                address,
                folder,
                hf_config=hf_config,
                same_device=self.config.colocate or not torch.cuda.is_available(),
            )

    def sync_weights(self, version: int, verify: bool) -> dict[str, float]:
        """Send the weights to the servers as ``version``; metrics on rank 0.

        Args:
            version: Their new weight version.
            verify: Whether to compare the servers' weights with what was sent.

        Raises:
            WeightSyncError: servers and trainer disagree, or a server did not answer.
        """
        tensors = self.engine.hf_tensors()
        metrics: dict[str, float] = {}
        with self._timeline.phase("sync", version=version):
            if self._sync is not None:
                metrics = self._sync.run(tensors, version, verify)
            deque(tensors, maxlen=0)
        self._weight_version = version
        return metrics

    def save_checkpoint(self, path: Path) -> None:
        """Write model, optimizer, update count and random states to a new folder ``path``.

        Raises:
            TrainerError: it could not be written; an older checkpoint at ``path`` is untouched.
        """
        with self._timeline.phase("checkpoint"):
            self.engine.save(path, self._updates)

    def load_checkpoint(self, path: Path) -> None:
        """Continue exactly where ``save_checkpoint`` was called.

        Raises:
            TrainerError: there is none at ``path``, or it does not fit.
        """
        self._updates = self.engine.load(path)

    def save_hf(self, path: Path) -> None:
        """Write the weights as an HF folder, with the tokenizer of the run's model."""
        tensors = self.engine.hf_tensors()
        try:
            if self.rank == 0:
                save_hf(path, tensors, self.run.model)
        except OSError as error:
            raise TrainerError(f"{path}: the HF folder was not saved: {error}") from error
        finally:
            deque(tensors, maxlen=0)  # the other ranks are sending, and must come to their end
        dist.barrier()

    def close(self) -> None:
        """Leave the process groups and let go of the servers."""
        if self._sync is not None:
            self._sync.close()
        engine, self._sync, self._engine = self._engine, None, None
        self._timeline.close()
        if engine is not None:
            engine.close()

    def _bind(self) -> str:
        from slime_core.plugins import Plan, bind_plan, observe_plan

        plan = Plan.from_json(self._plan_json)
        self._bound = bind_plan(plan, self.config.plugin)
        return observe_plan(plan).fingerprint

    def _objective(self, step: int) -> Objective:
        vocabulary = int(self.engine.hf_config["vocab_size"])
        return Objective(
            self._hook("slime_token_advantage", step),
            self._hook("slime_loss", step),
            vocabulary <= CHEAP_VOCABULARY,
        )

    def _hook(self, name: str, step: int) -> Hook:
        bound = self._bound.one(name)
        ctx = Context(
            run=self.run,
            options=bound.options,
            step=step,
            weight_version=self._weight_version,
            seed=self.run.seed + step,
        )
        return Hook(bound, ctx)


def sampling_temperature(config: Config) -> float:
    """What logits are divided by: the servers report log-probs of the tempered distribution.

    1 where nothing is sampled, and where sampling is greedy.
    """
    sampled = config.engine.servers > 0 and config.rollout.temperature > 0.0
    return config.rollout.temperature if sampled else 1.0
