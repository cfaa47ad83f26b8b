"""The contract between slime and its plugins: hooks, records, options, errors.

Depends on pluggy alone, and imports neither torch nor ray nor sglang.
"""

from slime_hookspecs.batch import Batch, BatchField, Loss, Policy
from slime_hookspecs.conformance import CAPABILITIES, Conformance, Example
from slime_hookspecs.context import AnyContext, Context, RunInfo
from slime_hookspecs.contract import (
    API_VERSION,
    ENTRY_POINT_GROUP,
    HOOKS,
    PROJECT,
    Cardinality,
    Colour,
    HookInfo,
    OnFailure,
    Process,
    hookimpl,
)
from slime_hookspecs.data import DataSource, EvalSet
from slime_hookspecs.engine import Engine, Sampling
from slime_hookspecs.errors import (
    ConfigError,
    DataError,
    EngineError,
    PluginError,
    RunError,
    SlimeError,
    TooManyFailures,
    TrainerError,
    UserError,
    WeightSyncError,
)
from slime_hookspecs.observe import (
    CheckpointEvent,
    RunEndEvent,
    Tracker,
    TrainStepEvent,
    WeightsEvent,
)
from slime_hookspecs.records import (
    KEEP,
    Group,
    Message,
    Prompt,
    Reward,
    Rollout,
    Sample,
    SampleError,
    StopReason,
    Verdict,
)
from slime_hookspecs.specs import NextGenerate, NextReward, SlimeSpecs
from slime_hookspecs.trace import NO_VERSION, Segment, Trace

__all__ = [
    "API_VERSION",
    "CAPABILITIES",
    "ENTRY_POINT_GROUP",
    "HOOKS",
    "KEEP",
    "NO_VERSION",
    "PROJECT",
    "AnyContext",
    "Batch",
    "BatchField",
    "Cardinality",
    "CheckpointEvent",
    "Colour",
    "ConfigError",
    "Conformance",
    "Context",
    "DataError",
    "DataSource",
    "Engine",
    "EngineError",
    "EvalSet",
    "Example",
    "Group",
    "HookInfo",
    "Loss",
    "Message",
    "NextGenerate",
    "NextReward",
    "OnFailure",
    "PluginError",
    "Policy",
    "Process",
    "Prompt",
    "Reward",
    "Rollout",
    "RunEndEvent",
    "RunError",
    "RunInfo",
    "Sample",
    "SampleError",
    "Sampling",
    "Segment",
    "SlimeError",
    "SlimeSpecs",
    "StopReason",
    "TooManyFailures",
    "Trace",
    "Tracker",
    "TrainStepEvent",
    "TrainerError",
    "UserError",
    "Verdict",
    "WeightSyncError",
    "WeightsEvent",
    "hookimpl",
]
