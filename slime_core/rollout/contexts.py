"""What each hook call is told, with seeds that are the same whenever a run is repeated."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, TypeAlias, final

from slime_hookspecs import AnyContext, Context, RunInfo

from slime_core.plugins import BoundHook


@final
@dataclass(frozen=True, slots=True)
class Scene:
    """When hooks are called.

    Attributes:
        step: Number of the training step.
        weight_version: Version of the weights that the servers hold.
        evaluating: Name of the evaluation set, or ``None`` while training.
    """

    step: int
    weight_version: int
    evaluating: str | None = None


Seeds: TypeAlias = Callable[[int], int]
"""From the index of a sample, group or step to its seed."""

_64_BITS: Final = (1 << 64) - 1


def seeds(run_seed: int, scene: Scene, kind: str) -> Seeds:
    """Seeds of all things of one kind: 31 bits, so that any library's seed function takes them.

    They depend on nothing but the run's seed and the index, which is unique in a run: a sample that
    is continued in a later step keeps its seed. Evaluations count from 0 each time, so theirs
    depend on the step as well. SplitMix64 (Steele, Lea and Flood 2014,
    https://doi.org/10.1145/2714064.2660195) from a start that is hashed once.
    """
    where = "" if scene.evaluating is None else f"{scene.evaluating}/{scene.step}"
    text = f"{run_seed}/{where}/{kind}"
    start = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")

    def seed(index: int) -> int:
        z = (start + (index + 1) * 0x9E3779B97F4A7C15) & _64_BITS
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _64_BITS
        return (z ^ (z >> 31)) >> 33

    return seed


MakeContext: TypeAlias = Callable[[int], AnyContext]
"""From the index of a sample, group or step to the context of one call."""


@final
class Contexts:
    """Makes contexts cheaply, because each sample needs one for every hook."""

    __slots__ = ("_run",)

    def __init__(self, run: RunInfo) -> None:
        self._run = run

    def seeds(self, scene: Scene, kind: str) -> Seeds:
        """Seeds of a scene's samples, groups or rollouts (``kind``)."""
        return seeds(self._run.seed, scene, kind)

    def maker(
        self, hook: BoundHook, scene: Scene, kind: str, deadline_s: float | None = None
    ) -> MakeContext:
        """Makes the contexts of one hook, which differ in their seed only."""
        model: AnyContext = Context(
            run=self._run,
            options=hook.options,
            step=scene.step,
            weight_version=scene.weight_version,
            evaluating=scene.evaluating,
            deadline_s=deadline_s,
            logger=logging.getLogger(f"slime.plugin.{hook.plugin}"),
        )
        values, seed = dict(model.__dict__), self.seeds(scene, kind)

        def make(index: int) -> AnyContext:
            # A frozen dataclass sets each field with a call of its own: four times as slow.
            context: AnyContext = object.__new__(Context)
            context.__dict__.update(values, seed=seed(index))
            return context

        return make
