"""Where prompts come from, and what evaluation measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final, runtime_checkable

from slime_hookspecs.engine import Sampling
from slime_hookspecs.records import Group, Prompt


@runtime_checkable
class DataSource(Protocol):
    """An endless, resumable stream of prompts.

    The core calls it from one thread. Prompts that come back unfinished are kept by the core's
    own buffer, so a source never sees a prompt twice.
    """

    def take(self, count: int) -> Sequence[Prompt]:
        """The next ``count`` prompts, fewer only where the source ends for good.

        Called about once a step. Epochs and shuffling are the source's own business.
        """

    def state(self) -> dict[str, Any]:
        """All that ``restore`` needs, as JSON values. Called at each checkpoint."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly after the last prompt that was taken when ``state`` was called."""


@final
@dataclass(frozen=True, slots=True)
class EvalSet:
    """A held-out set.

    Attributes:
        name: Prefix of its metrics, e.g. ``eval/<name>/mean@1``.
        prompts: All of it.
        samples_per_prompt: k of mean@k and pass@k.
        sampling: Overrides the run's sampling for this set; ``temperature=0`` is greedy.
        metrics: Further metrics from the scored groups; the core always adds the mean reward.
    """

    name: str
    prompts: Sequence[Prompt]
    samples_per_prompt: int = 1
    sampling: Sampling = field(default_factory=Sampling)
    metrics: Callable[[Sequence[Group]], Mapping[str, float]] | None = None
