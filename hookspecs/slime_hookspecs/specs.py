"""The hooks. A plugin implements any subset of them; each takes any subset of a spec's arguments.

Write a plain function with the hook's name, mark it ``@hookimpl``, and list its module under the
entry-point group ``slime.plugins``. Keyword-only and ``**kwargs`` parameters are refused, because
pluggy never fills them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from slime_hookspecs.batch import Batch, BatchField, Loss, Policy
from slime_hookspecs.conformance import Conformance
from slime_hookspecs.context import AnyContext, RunInfo
from slime_hookspecs.contract import Cardinality, Colour, OnFailure, Process, hook
from slime_hookspecs.data import DataSource, EvalSet
from slime_hookspecs.engine import Engine
from slime_hookspecs.observe import (
    CheckpointEvent,
    RunEndEvent,
    Tracker,
    TrainStepEvent,
    WeightsEvent,
)
from slime_hookspecs.records import Group, Reward, Rollout, Sample, Verdict

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any

NextGenerate: TypeAlias = Callable[[Sample, Engine], Awaitable["Sample | list[Sample]"]]
NextReward: TypeAlias = Callable[[Sample], Awaitable["float | Reward"]]

C, K, P, F = Cardinality, Colour, Process, OnFailure


class SlimeSpecs:
    """All hooks of the contract. ``self`` is not part of an implementation's signature."""

    @hook(C.PER_PLUGIN, K.SYNC, P.DRIVER, F.STOP)
    def slime_options(self) -> type:  # type: ignore[empty-body]
        """The dataclass of this plugin's options.

        Fields become ``--<plugin>.<field>`` flags and keys of ``[plugin.<plugin>]`` in TOML; a
        field's ``metadata={"help": ...}`` is its help. Every field has a default.
        Called once, after import.
        """

    @hook(C.PER_PLUGIN, K.SYNC, P.DRIVER, F.STOP)
    def slime_defaults(self) -> Mapping[str, Any]:  # type: ignore[empty-body]
        """Settings of the run that this task wants unless the user says otherwise.

        A nested mapping in the shape of the TOML file, e.g.
        ``{"rollout": {"samples_per_prompt": 8}, "plugin": {"policy_loss": {"clip_high": 0.28}}}``.
        Two plugins that disagree on a value are an error that names both.
        """

    @hook(C.PER_PLUGIN, K.SYNC, P.DRIVER, F.STOP)
    def slime_conformance(self) -> Conformance:  # type: ignore[empty-body]
        """What this plugin does, and examples of it, for the conformance suite.

        Called by ``slime-conformance`` and ``pytest --slime-plugin``; never in a run.
        """

    @hook(C.EXACTLY_ONE, K.SYNC, P.ROLLOUT, F.STOP)
    def slime_data_source(self, options: Any, run: RunInfo) -> DataSource:  # type: ignore[empty-body]
        """Open the data. Called once a run, before any engine starts, in the driver as well as in
        the rollout process: bad files are found before anything costs time. Raise ``DataError``.
        """

    @hook(C.EXACTLY_ONE, K.ASYNC, P.ROLLOUT, F.SAMPLE)
    async def slime_generate(  # type: ignore[empty-body]
        self, sample: Sample, engine: Engine, ctx: AnyContext
    ) -> Sample | list[Sample]:
        """Answer the prompt: fill ``sample.trace`` and ``sample.stop``.

        The trace is empty at first, or holds what an interrupted attempt left: continue from it.
        Return the sample, or several siblings that share its group (one episode, many samples).
        """

    @hook(C.WEIGHTED, K.EITHER, P.ROLLOUT, F.SAMPLE)
    def slime_reward(self, sample: Sample, ctx: AnyContext) -> float | Reward:  # type: ignore[empty-body]
        """Score one finished sample.

        ``async def`` runs on the event loop and is for waiting. ``def`` runs in a pool of worker
        processes, under a hard timeout that kills the worker: module and sample are pickled, and
        changes to the sample are lost.
        """

    @hook(C.WEIGHTED, K.EITHER, P.ROLLOUT, F.GROUP)
    def slime_group_reward(  # type: ignore[empty-body]
        self, group: Group, ctx: AnyContext
    ) -> Sequence[float | Reward]:
        """Score the samples of a group against each other: one value a sample, in their order."""

    @hook(C.CHAIN, K.SYNC, P.ROLLOUT, F.STOP)
    def slime_filter(self, group: Group, ctx: AnyContext) -> Verdict:  # type: ignore[empty-body]
        """Keep a scored group for training, or drop it with a reason. All filters must keep it.

        ``Verdict(keep=True, rejected={sample.index: "too_short"})`` keeps it and leaves single
        samples out: they are not trained on, and counted as ``samples/rejected/too_short``.
        """

    @hook(C.EXACTLY_ONE, K.SYNC, P.ROLLOUT, F.STOP)
    def slime_advantage(self, group: Group, ctx: AnyContext) -> Sequence[float]:  # type: ignore[empty-body]
        """One advantage for each of ``group.scored``, in their order."""

    @hook(C.EXACTLY_ONE, K.SYNC, P.TRAINER, F.STOP)
    def slime_token_advantage(self, batch: Batch, ctx: AnyContext) -> Tensor:
        """Advantages of tokens, float32 ``[tokens]``, from those of samples."""

    @hook(C.EXACTLY_ONE, K.SYNC, P.TRAINER, F.STOP)
    def slime_loss(self, batch: Batch, policy: Policy, ctx: AnyContext) -> Loss:  # type: ignore[empty-body]
        """Loss of each token of a micro-batch. The core masks, normalises and sums."""

    @hook(C.ALL, K.SYNC, P.DRIVER, F.STOP)
    def slime_batch_fields(self) -> Sequence[BatchField]:  # type: ignore[empty-body]
        """Fields that this plugin's rollout hooks set and its trainer hooks read."""

    @hook(C.ALL, K.SYNC, P.ROLLOUT, F.STOP)
    def slime_eval_sets(self, options: Any, run: RunInfo) -> Sequence[EvalSet]:  # type: ignore[empty-body]
        """Held-out sets. Called once a run, in the driver as well as in the rollout process."""

    @hook(C.CHAIN, K.ASYNC, P.ROLLOUT, F.SAMPLE)
    async def slime_wrap_generate(  # type: ignore[empty-body]
        self, call_next: NextGenerate, sample: Sample, engine: Engine, ctx: AnyContext
    ) -> Sample | list[Sample]:
        """Run code around generation. ``await call_next(sample, engine)`` at most once.

        Wrappers are composed once, the first in plan order outermost.
        """

    @hook(C.CHAIN, K.ASYNC, P.ROLLOUT, F.SAMPLE)
    async def slime_wrap_reward(  # type: ignore[empty-body]
        self, call_next: NextReward, sample: Sample, ctx: AnyContext
    ) -> float | Reward:
        """Run code around each reward. ``await call_next(sample)`` at most once."""

    @hook(C.ALL, K.EITHER, P.ROLLOUT, F.COUNT)
    def slime_on_group(self, group: Group, verdict: Verdict, ctx: AnyContext) -> None:
        """A group was scored and filtered. Not called for groups that were stopped or failed."""

    @hook(C.ALL, K.EITHER, P.ROLLOUT, F.COUNT)
    def slime_on_rollout(self, rollout: Rollout, ctx: AnyContext) -> None:
        """A step's groups are complete, with advantages, before they travel to the trainer."""

    @hook(C.ALL, K.EITHER, P.DRIVER, F.COUNT)
    def slime_on_train_step(self, event: TrainStepEvent, options: Any, run: RunInfo) -> None:
        """The trainer took all optimizer steps of a rollout."""

    @hook(C.ALL, K.EITHER, P.DRIVER, F.COUNT)
    def slime_on_weights(self, event: WeightsEvent, options: Any, run: RunInfo) -> None:
        """The servers took new weights. Not called in runs without servers."""

    @hook(C.ALL, K.EITHER, P.DRIVER, F.COUNT)
    def slime_on_checkpoint(self, event: CheckpointEvent, options: Any, run: RunInfo) -> None:
        """A checkpoint is whole on disk. Not called for one that failed."""

    @hook(C.ALL, K.EITHER, P.DRIVER, F.COUNT)
    def slime_on_run_end(self, event: RunEndEvent, options: Any, run: RunInfo) -> None:
        """The run is over. Not called when the driver is killed."""

    @hook(C.ALL, K.SYNC, P.DRIVER, F.COUNT)
    def slime_tracker(self, options: Any, run: RunInfo) -> Tracker:  # type: ignore[empty-body]
        """Open a tracker. Called once, before step 0."""
