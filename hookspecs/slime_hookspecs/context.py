"""What a hook is told about the run that it serves."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The facts of a run that never change while it lasts.

    Attributes:
        name: Name of the run.
        directory: The run directory; plugins may write under
            ``directory / "plugins" / <entry name>``.
        model: Folder of the HF model that the run began with.
        seed: Seed of the run.
        steps: Number of training steps.
        prompts_per_step: Groups that a step trains on.
        samples_per_prompt: Samples a group is asked for.
        max_response_tokens: The run's token budget for one response.
    """

    name: str
    directory: Path
    model: Path
    seed: int
    steps: int
    prompts_per_step: int
    samples_per_prompt: int
    max_response_tokens: int


@dataclass(frozen=True)
class Context(Generic[OptionsT]):
    """What a rollout or trainer hook is told.

    Attributes:
        run: Facts of the run.
        options: This plugin's own options, as its ``slime_options`` class.
        step: Number of the step, from 0: the one that trains on what this call is about; while
            evaluating, how many steps are done. Under ``--schedule async`` groups are made for no
            step in particular: hooks of a sample are told the step that waited for groups when
            the sample began, and hooks of its group the one that waited when the group ended.
            That step trains on it, or a later one does; which one, only ``slime_advantage``,
            ``slime_on_rollout`` and trainer hooks know.
        weight_version: Version of the weights that the servers held when that step began to wait;
            ``engine.weight_version`` is what they hold now.
        evaluating: Name of the evaluation set, or ``None`` while training.
        seed: Seed for this sample, group or batch: the same whenever the run is repeated.
        deadline_s: Seconds that this call may take, or ``None``.
        logger: Writes to the run's log, under the plugin's name.
    """

    run: RunInfo
    options: OptionsT
    step: int = 0
    weight_version: int = 0
    evaluating: str | None = None
    seed: int = 0
    deadline_s: float | None = None
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("slime.plugin"))

    @cached_property
    def rng(self) -> random.Random:
        """A random generator seeded with ``seed``."""
        return random.Random(self.seed)


AnyContext = Context[Any]
"""A context whose options the reader does not care about."""
