"""Decorators that make type checkers compare an implementation with its hook.

::

    from slime_hookspecs import Sample
    from slime_hookspecs import facade as hook

    @hook.slime_reward
    def slime_reward(sample: Sample) -> float: ...

mypy and pyright then refuse arguments that the hook does not offer, other types, another result,
and ``def`` for ``async def``. At run time each decorator is ``hookimpl``. For functions of modules;
methods take ``hookimpl``. Written by ``make docs`` from the hooks: do not edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slime_hookspecs.contract import HOOKS, hookimpl

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from typing import Any, Protocol, TypeVar

    from torch import Tensor

    from slime_hookspecs import (
        AnyContext,
        Batch,
        BatchField,
        CheckpointEvent,
        Conformance,
        DataSource,
        Engine,
        EvalSet,
        Group,
        Loss,
        NextGenerate,
        NextReward,
        Policy,
        Reward,
        Rollout,
        RunEndEvent,
        RunInfo,
        Sample,
        Tracker,
        TrainStepEvent,
        Verdict,
        WeightsEvent,
    )

    Result = TypeVar("Result", covariant=True)

    class TakesNothing(Protocol[Result]):
        def __call__(self) -> Result: ...

    class TakesOptions(Protocol[Result]):
        def __call__(self, *, options: Any) -> Result: ...

    class TakesRun(Protocol[Result]):
        def __call__(self, *, run: RunInfo) -> Result: ...

    class TakesOptionsRun(Protocol[Result]):
        def __call__(self, *, options: Any, run: RunInfo) -> Result: ...

    class TakesSample(Protocol[Result]):
        def __call__(self, *, sample: Sample) -> Result: ...

    class TakesEngine(Protocol[Result]):
        def __call__(self, *, engine: Engine) -> Result: ...

    class TakesCtx(Protocol[Result]):
        def __call__(self, *, ctx: AnyContext) -> Result: ...

    class TakesSampleEngine(Protocol[Result]):
        def __call__(self, *, sample: Sample, engine: Engine) -> Result: ...

    class TakesSampleCtx(Protocol[Result]):
        def __call__(self, *, sample: Sample, ctx: AnyContext) -> Result: ...

    class TakesEngineCtx(Protocol[Result]):
        def __call__(self, *, engine: Engine, ctx: AnyContext) -> Result: ...

    class TakesSampleEngineCtx(Protocol[Result]):
        def __call__(self, *, sample: Sample, engine: Engine, ctx: AnyContext) -> Result: ...

    class TakesGroup(Protocol[Result]):
        def __call__(self, *, group: Group) -> Result: ...

    class TakesGroupCtx(Protocol[Result]):
        def __call__(self, *, group: Group, ctx: AnyContext) -> Result: ...

    class TakesBatch(Protocol[Result]):
        def __call__(self, *, batch: Batch) -> Result: ...

    class TakesBatchCtx(Protocol[Result]):
        def __call__(self, *, batch: Batch, ctx: AnyContext) -> Result: ...

    class TakesPolicy(Protocol[Result]):
        def __call__(self, *, policy: Policy) -> Result: ...

    class TakesBatchPolicy(Protocol[Result]):
        def __call__(self, *, batch: Batch, policy: Policy) -> Result: ...

    class TakesPolicyCtx(Protocol[Result]):
        def __call__(self, *, policy: Policy, ctx: AnyContext) -> Result: ...

    class TakesBatchPolicyCtx(Protocol[Result]):
        def __call__(self, *, batch: Batch, policy: Policy, ctx: AnyContext) -> Result: ...

    class TakesNextGenerate(Protocol[Result]):
        def __call__(self, *, call_next: NextGenerate) -> Result: ...

    class TakesNextGenerateSample(Protocol[Result]):
        def __call__(self, *, call_next: NextGenerate, sample: Sample) -> Result: ...

    class TakesNextGenerateEngine(Protocol[Result]):
        def __call__(self, *, call_next: NextGenerate, engine: Engine) -> Result: ...

    class TakesNextGenerateCtx(Protocol[Result]):
        def __call__(self, *, call_next: NextGenerate, ctx: AnyContext) -> Result: ...

    class TakesNextGenerateSampleEngine(Protocol[Result]):
        def __call__(
            self, *, call_next: NextGenerate, sample: Sample, engine: Engine
        ) -> Result: ...

    class TakesNextGenerateSampleCtx(Protocol[Result]):
        def __call__(
            self, *, call_next: NextGenerate, sample: Sample, ctx: AnyContext
        ) -> Result: ...

    class TakesNextGenerateEngineCtx(Protocol[Result]):
        def __call__(
            self, *, call_next: NextGenerate, engine: Engine, ctx: AnyContext
        ) -> Result: ...

    class TakesNextGenerateSampleEngineCtx(Protocol[Result]):
        def __call__(
            self, *, call_next: NextGenerate, sample: Sample, engine: Engine, ctx: AnyContext
        ) -> Result: ...

    class TakesNextReward(Protocol[Result]):
        def __call__(self, *, call_next: NextReward) -> Result: ...

    class TakesNextRewardSample(Protocol[Result]):
        def __call__(self, *, call_next: NextReward, sample: Sample) -> Result: ...

    class TakesNextRewardCtx(Protocol[Result]):
        def __call__(self, *, call_next: NextReward, ctx: AnyContext) -> Result: ...

    class TakesNextRewardSampleCtx(Protocol[Result]):
        def __call__(self, *, call_next: NextReward, sample: Sample, ctx: AnyContext) -> Result: ...

    class TakesVerdict(Protocol[Result]):
        def __call__(self, *, verdict: Verdict) -> Result: ...

    class TakesGroupVerdict(Protocol[Result]):
        def __call__(self, *, group: Group, verdict: Verdict) -> Result: ...

    class TakesVerdictCtx(Protocol[Result]):
        def __call__(self, *, verdict: Verdict, ctx: AnyContext) -> Result: ...

    class TakesGroupVerdictCtx(Protocol[Result]):
        def __call__(self, *, group: Group, verdict: Verdict, ctx: AnyContext) -> Result: ...

    class TakesRollout(Protocol[Result]):
        def __call__(self, *, rollout: Rollout) -> Result: ...

    class TakesRolloutCtx(Protocol[Result]):
        def __call__(self, *, rollout: Rollout, ctx: AnyContext) -> Result: ...

    class TakesTrainStepEvent(Protocol[Result]):
        def __call__(self, *, event: TrainStepEvent) -> Result: ...

    class TakesTrainStepEventOptions(Protocol[Result]):
        def __call__(self, *, event: TrainStepEvent, options: Any) -> Result: ...

    class TakesTrainStepEventRun(Protocol[Result]):
        def __call__(self, *, event: TrainStepEvent, run: RunInfo) -> Result: ...

    class TakesTrainStepEventOptionsRun(Protocol[Result]):
        def __call__(self, *, event: TrainStepEvent, options: Any, run: RunInfo) -> Result: ...

    class TakesWeightsEvent(Protocol[Result]):
        def __call__(self, *, event: WeightsEvent) -> Result: ...

    class TakesWeightsEventOptions(Protocol[Result]):
        def __call__(self, *, event: WeightsEvent, options: Any) -> Result: ...

    class TakesWeightsEventRun(Protocol[Result]):
        def __call__(self, *, event: WeightsEvent, run: RunInfo) -> Result: ...

    class TakesWeightsEventOptionsRun(Protocol[Result]):
        def __call__(self, *, event: WeightsEvent, options: Any, run: RunInfo) -> Result: ...

    class TakesCheckpointEvent(Protocol[Result]):
        def __call__(self, *, event: CheckpointEvent) -> Result: ...

    class TakesCheckpointEventOptions(Protocol[Result]):
        def __call__(self, *, event: CheckpointEvent, options: Any) -> Result: ...

    class TakesCheckpointEventRun(Protocol[Result]):
        def __call__(self, *, event: CheckpointEvent, run: RunInfo) -> Result: ...

    class TakesCheckpointEventOptionsRun(Protocol[Result]):
        def __call__(self, *, event: CheckpointEvent, options: Any, run: RunInfo) -> Result: ...

    class TakesRunEndEvent(Protocol[Result]):
        def __call__(self, *, event: RunEndEvent) -> Result: ...

    class TakesRunEndEventOptions(Protocol[Result]):
        def __call__(self, *, event: RunEndEvent, options: Any) -> Result: ...

    class TakesRunEndEventRun(Protocol[Result]):
        def __call__(self, *, event: RunEndEvent, run: RunInfo) -> Result: ...

    class TakesRunEndEventOptionsRun(Protocol[Result]):
        def __call__(self, *, event: RunEndEvent, options: Any, run: RunInfo) -> Result: ...

    SlimeOptions = TypeVar("SlimeOptions", bound=TakesNothing[type])

    def slime_options(implementation: SlimeOptions) -> SlimeOptions:
        """The dataclass of this plugin's options."""

    SlimeDefaults = TypeVar("SlimeDefaults", bound=TakesNothing[Mapping[str, Any]])

    def slime_defaults(implementation: SlimeDefaults) -> SlimeDefaults:
        """Settings of the run that this task wants unless the user says otherwise."""

    SlimeConformance = TypeVar("SlimeConformance", bound=TakesNothing[Conformance])

    def slime_conformance(implementation: SlimeConformance) -> SlimeConformance:
        """What this plugin does, and examples of it, for the conformance suite."""

    SlimeDataSource = TypeVar(
        "SlimeDataSource",
        bound=TakesNothing[DataSource]
        | TakesOptions[DataSource]
        | TakesRun[DataSource]
        | TakesOptionsRun[DataSource],
    )

    def slime_data_source(implementation: SlimeDataSource) -> SlimeDataSource:
        """Open the data."""

    SlimeGenerate = TypeVar(
        "SlimeGenerate",
        bound=TakesNothing[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesSample[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesEngine[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesCtx[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesSampleEngine[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesSampleCtx[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesEngineCtx[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesSampleEngineCtx[Coroutine[Any, Any, Sample | list[Sample]]],
    )

    def slime_generate(implementation: SlimeGenerate) -> SlimeGenerate:
        """Answer the prompt:"""

    SlimeReward = TypeVar(
        "SlimeReward",
        bound=TakesNothing[Coroutine[Any, Any, float | Reward] | float | Reward]
        | TakesSample[Coroutine[Any, Any, float | Reward] | float | Reward]
        | TakesCtx[Coroutine[Any, Any, float | Reward] | float | Reward]
        | TakesSampleCtx[Coroutine[Any, Any, float | Reward] | float | Reward],
    )

    def slime_reward(implementation: SlimeReward) -> SlimeReward:
        """Score one finished sample."""

    SlimeGroupReward = TypeVar(
        "SlimeGroupReward",
        bound=TakesNothing[Coroutine[Any, Any, Sequence[float | Reward]] | Sequence[float | Reward]]
        | TakesGroup[Coroutine[Any, Any, Sequence[float | Reward]] | Sequence[float | Reward]]
        | TakesCtx[Coroutine[Any, Any, Sequence[float | Reward]] | Sequence[float | Reward]]
        | TakesGroupCtx[Coroutine[Any, Any, Sequence[float | Reward]] | Sequence[float | Reward]],
    )

    def slime_group_reward(implementation: SlimeGroupReward) -> SlimeGroupReward:
        """Score the samples of a group against each other:"""

    SlimeFilter = TypeVar(
        "SlimeFilter",
        bound=TakesNothing[Verdict]
        | TakesGroup[Verdict]
        | TakesCtx[Verdict]
        | TakesGroupCtx[Verdict],
    )

    def slime_filter(implementation: SlimeFilter) -> SlimeFilter:
        """Keep a scored group for training, or drop it with a reason."""

    SlimeAdvantage = TypeVar(
        "SlimeAdvantage",
        bound=TakesNothing[Sequence[float]]
        | TakesGroup[Sequence[float]]
        | TakesCtx[Sequence[float]]
        | TakesGroupCtx[Sequence[float]],
    )

    def slime_advantage(implementation: SlimeAdvantage) -> SlimeAdvantage:
        """One advantage for each of ``group.scored``, in their order."""

    SlimeTokenAdvantage = TypeVar(
        "SlimeTokenAdvantage",
        bound=TakesNothing[Tensor] | TakesBatch[Tensor] | TakesCtx[Tensor] | TakesBatchCtx[Tensor],
    )

    def slime_token_advantage(implementation: SlimeTokenAdvantage) -> SlimeTokenAdvantage:
        """Advantages of tokens, float32 ``[tokens]``, from those of samples."""

    SlimeLoss = TypeVar(
        "SlimeLoss",
        bound=TakesNothing[Loss]
        | TakesBatch[Loss]
        | TakesPolicy[Loss]
        | TakesCtx[Loss]
        | TakesBatchPolicy[Loss]
        | TakesBatchCtx[Loss]
        | TakesPolicyCtx[Loss]
        | TakesBatchPolicyCtx[Loss],
    )

    def slime_loss(implementation: SlimeLoss) -> SlimeLoss:
        """Loss of each token of a micro-batch."""

    SlimeBatchFields = TypeVar("SlimeBatchFields", bound=TakesNothing[Sequence[BatchField]])

    def slime_batch_fields(implementation: SlimeBatchFields) -> SlimeBatchFields:
        """Fields that this plugin's rollout hooks set and its trainer hooks read."""

    SlimeEvalSets = TypeVar(
        "SlimeEvalSets",
        bound=TakesNothing[Sequence[EvalSet]]
        | TakesOptions[Sequence[EvalSet]]
        | TakesRun[Sequence[EvalSet]]
        | TakesOptionsRun[Sequence[EvalSet]],
    )

    def slime_eval_sets(implementation: SlimeEvalSets) -> SlimeEvalSets:
        """Held-out sets."""

    SlimeWrapGenerate = TypeVar(
        "SlimeWrapGenerate",
        bound=TakesNothing[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesNextGenerate[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesSample[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesEngine[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesCtx[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesNextGenerateSample[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesNextGenerateEngine[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesNextGenerateCtx[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesSampleEngine[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesSampleCtx[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesEngineCtx[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesNextGenerateSampleEngine[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesNextGenerateSampleCtx[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesNextGenerateEngineCtx[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesSampleEngineCtx[Coroutine[Any, Any, Sample | list[Sample]]]
        | TakesNextGenerateSampleEngineCtx[Coroutine[Any, Any, Sample | list[Sample]]],
    )

    def slime_wrap_generate(implementation: SlimeWrapGenerate) -> SlimeWrapGenerate:
        """Run code around generation."""

    SlimeWrapReward = TypeVar(
        "SlimeWrapReward",
        bound=TakesNothing[Coroutine[Any, Any, float | Reward]]
        | TakesNextReward[Coroutine[Any, Any, float | Reward]]
        | TakesSample[Coroutine[Any, Any, float | Reward]]
        | TakesCtx[Coroutine[Any, Any, float | Reward]]
        | TakesNextRewardSample[Coroutine[Any, Any, float | Reward]]
        | TakesNextRewardCtx[Coroutine[Any, Any, float | Reward]]
        | TakesSampleCtx[Coroutine[Any, Any, float | Reward]]
        | TakesNextRewardSampleCtx[Coroutine[Any, Any, float | Reward]],
    )

    def slime_wrap_reward(implementation: SlimeWrapReward) -> SlimeWrapReward:
        """Run code around each reward."""

    SlimeOnGroup = TypeVar(
        "SlimeOnGroup",
        bound=TakesNothing[Coroutine[Any, Any, None] | None]
        | TakesGroup[Coroutine[Any, Any, None] | None]
        | TakesVerdict[Coroutine[Any, Any, None] | None]
        | TakesCtx[Coroutine[Any, Any, None] | None]
        | TakesGroupVerdict[Coroutine[Any, Any, None] | None]
        | TakesGroupCtx[Coroutine[Any, Any, None] | None]
        | TakesVerdictCtx[Coroutine[Any, Any, None] | None]
        | TakesGroupVerdictCtx[Coroutine[Any, Any, None] | None],
    )

    def slime_on_group(implementation: SlimeOnGroup) -> SlimeOnGroup:
        """A group was scored and filtered."""

    SlimeOnRollout = TypeVar(
        "SlimeOnRollout",
        bound=TakesNothing[Coroutine[Any, Any, None] | None]
        | TakesRollout[Coroutine[Any, Any, None] | None]
        | TakesCtx[Coroutine[Any, Any, None] | None]
        | TakesRolloutCtx[Coroutine[Any, Any, None] | None],
    )

    def slime_on_rollout(implementation: SlimeOnRollout) -> SlimeOnRollout:
        """A step's groups are complete, with advantages, before they travel to the trainer."""

    SlimeOnTrainStep = TypeVar(
        "SlimeOnTrainStep",
        bound=TakesNothing[Coroutine[Any, Any, None] | None]
        | TakesTrainStepEvent[Coroutine[Any, Any, None] | None]
        | TakesOptions[Coroutine[Any, Any, None] | None]
        | TakesRun[Coroutine[Any, Any, None] | None]
        | TakesTrainStepEventOptions[Coroutine[Any, Any, None] | None]
        | TakesTrainStepEventRun[Coroutine[Any, Any, None] | None]
        | TakesOptionsRun[Coroutine[Any, Any, None] | None]
        | TakesTrainStepEventOptionsRun[Coroutine[Any, Any, None] | None],
    )

    def slime_on_train_step(implementation: SlimeOnTrainStep) -> SlimeOnTrainStep:
        """The trainer took all optimizer steps of a rollout."""

    SlimeOnWeights = TypeVar(
        "SlimeOnWeights",
        bound=TakesNothing[Coroutine[Any, Any, None] | None]
        | TakesWeightsEvent[Coroutine[Any, Any, None] | None]
        | TakesOptions[Coroutine[Any, Any, None] | None]
        | TakesRun[Coroutine[Any, Any, None] | None]
        | TakesWeightsEventOptions[Coroutine[Any, Any, None] | None]
        | TakesWeightsEventRun[Coroutine[Any, Any, None] | None]
        | TakesOptionsRun[Coroutine[Any, Any, None] | None]
        | TakesWeightsEventOptionsRun[Coroutine[Any, Any, None] | None],
    )

    def slime_on_weights(implementation: SlimeOnWeights) -> SlimeOnWeights:
        """The servers took new weights."""

    SlimeOnCheckpoint = TypeVar(
        "SlimeOnCheckpoint",
        bound=TakesNothing[Coroutine[Any, Any, None] | None]
        | TakesCheckpointEvent[Coroutine[Any, Any, None] | None]
        | TakesOptions[Coroutine[Any, Any, None] | None]
        | TakesRun[Coroutine[Any, Any, None] | None]
        | TakesCheckpointEventOptions[Coroutine[Any, Any, None] | None]
        | TakesCheckpointEventRun[Coroutine[Any, Any, None] | None]
        | TakesOptionsRun[Coroutine[Any, Any, None] | None]
        | TakesCheckpointEventOptionsRun[Coroutine[Any, Any, None] | None],
    )

    def slime_on_checkpoint(implementation: SlimeOnCheckpoint) -> SlimeOnCheckpoint:
        """A checkpoint is whole on disk."""

    SlimeOnRunEnd = TypeVar(
        "SlimeOnRunEnd",
        bound=TakesNothing[Coroutine[Any, Any, None] | None]
        | TakesRunEndEvent[Coroutine[Any, Any, None] | None]
        | TakesOptions[Coroutine[Any, Any, None] | None]
        | TakesRun[Coroutine[Any, Any, None] | None]
        | TakesRunEndEventOptions[Coroutine[Any, Any, None] | None]
        | TakesRunEndEventRun[Coroutine[Any, Any, None] | None]
        | TakesOptionsRun[Coroutine[Any, Any, None] | None]
        | TakesRunEndEventOptionsRun[Coroutine[Any, Any, None] | None],
    )

    def slime_on_run_end(implementation: SlimeOnRunEnd) -> SlimeOnRunEnd:
        """The run is over."""

    SlimeTracker = TypeVar(
        "SlimeTracker",
        bound=TakesNothing[Tracker]
        | TakesOptions[Tracker]
        | TakesRun[Tracker]
        | TakesOptionsRun[Tracker],
    )

    def slime_tracker(implementation: SlimeTracker) -> SlimeTracker:
        """Open a tracker."""

else:
    globals().update(dict.fromkeys(HOOKS, hookimpl))
