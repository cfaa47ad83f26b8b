"""What travels through a rollout: a prompt, its samples, their group, and what became of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

from slime_hookspecs.trace import Trace

Message: TypeAlias = dict[str, Any]
"""One chat message: ``role``, ``content``, and whatever the chat template reads besides."""


class StopReason(enum.StrEnum):
    """Why a sample's generation ended."""

    PENDING = "pending"  #: not generated yet
    STOP = "stop"  #: the model ended its turn, or a stop string matched
    LENGTH = "length"  #: the token budget of the response ran out
    CONTEXT = "context"  #: the model's context is full
    TURNS = "turns"  #: the turn budget of an episode ran out
    TIMEOUT = "timeout"  #: the deadline passed
    ABORTED = "aborted"  #: the core stopped it, because enough groups were there
    FAILED = "failed"  #: an error, kept in ``Sample.error``
    DEMONSTRATED = "demonstrated"  #: nothing was generated; the response is given data


@final
@dataclass(frozen=True, slots=True)
class Prompt:
    """One task instance from a data source.

    Attributes:
        id: Unique within the data source, and the same in every epoch and every process.
        messages: The conversation to continue, rendered by the model's chat template.
        label: What the reward compares with; any JSON value.
        metadata: Anything else that the plugin wants to carry; JSON values.
        tools: Tool schemas for the chat template, if any.
    """

    id: str
    messages: list[Message]
    label: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    tools: list[dict[str, Any]] | None = None


@final
@dataclass(frozen=True, slots=True)
class Reward:
    """A score with its parts.

    Attributes:
        value: The score that advantages are computed from; finite.
        metrics: Numbers to report besides, by name. Averaged over samples.
    """

    value: float
    metrics: dict[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True)
class SampleError:
    """What went wrong with a sample, and whose code it was.

    Attributes:
        plugin: Entry name of the plugin, or ``"core"``.
        hook: Name of the hook that failed.
        type: Class name of the exception.
        message: Its text.
    """

    plugin: str
    hook: str
    type: str
    message: str


@final
@dataclass(slots=True, eq=False)
class Sample:
    """One answer to a prompt, from first token to advantage.

    Attributes:
        index: Unique in the run.
        group_index: The group that it belongs to; unique in the run.
        prompt: What it answers.
        trace: Its tokens.
        stop: Why generation ended.
        response: The text that the model wrote last, decoded once by the core after generation.
        rewards: Each reward component by plugin name, unweighted.
        reward: Weighted sum of the components; ``None`` until scored.
        advantage: From ``slime_advantage``; ``None`` until computed.
        fields: Values of the batch fields that plugins declared, by name.
        metadata: Free for plugins; JSON values. Written with saved rollouts.
        error: Set when a plugin failed on this sample: it is masked and never counted as reward 0.
        provenance: Which plugin filled which role, e.g. ``{"generate": "single_turn 0.1.0"}``.
        rejected: Why a filter left it out of a group that it kept; empty where none did.
    """

    index: int
    group_index: int
    prompt: Prompt
    trace: Trace = field(default_factory=Trace)
    stop: StopReason = StopReason.PENDING
    response: str = ""
    rewards: dict[str, Reward] = field(default_factory=dict)
    reward: float | None = None
    advantage: float | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    error: SampleError | None = None
    provenance: dict[str, str] = field(default_factory=dict)
    rejected: str = ""


@final
@dataclass(slots=True, eq=False)
class Group:
    """All samples of one prompt in one step. Fan-out may make their number differ by group.

    Attributes:
        index: Unique in the run.
        prompt: What all of them answer.
        samples: The samples, failed ones included.
    """

    index: int
    prompt: Prompt
    samples: list[Sample]

    @property
    def scored(self) -> list[Sample]:
        """The samples that were generated and scored without an error."""
        return [s for s in self.samples if s.error is None and s.reward is not None]

    @property
    def trained(self) -> list[Sample]:
        """The scored samples that no filter rejected: the loss sees these."""
        return [s for s in self.scored if not s.rejected]


@final
@dataclass(slots=True, eq=False)
class Rollout:
    """What one step trains on.

    Attributes:
        step: Number of the step, from 0.
        groups: The groups that were kept, in the order in which their prompts were drawn.
        weight_version: Version of the weights that the servers held.
        metrics: Numbers to report, by name.
    """

    step: int
    groups: list[Group]
    weight_version: int
    metrics: dict[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What a filter says of a group.

    Attributes:
        keep: Whether it may be trained on.
        reason: Why not: a short snake_case word, counted in metrics.
        rejected: Samples of a kept group that are not trained on, ``Sample.index`` to a reason of
            the same kind. They still count in the advantages of the others. A group of which no
            sample is left is dropped.
    """

    keep: bool
    reason: str = ""
    rejected: Mapping[int, str] = field(default_factory=dict, hash=False)


KEEP = Verdict(keep=True)
"""The verdict of a filter that has nothing against a group."""
