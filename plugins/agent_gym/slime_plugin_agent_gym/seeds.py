"""The prompts: one for each seed of the environment, some of them held out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Final, final

from slime_hookspecs import EvalSet, Group, Prompt, Sampling

from slime_plugin_agent_gym.options import Options

#: Seeds to train on are below, held-out ones are not. NumPy takes 32 bits.
FIRST_HELD_OUT: Final = 2**31


@final
class SeedSource:
    """Implements ``slime_hookspecs.DataSource``: seeds one after another, without end.

    Args:
        options: Options of the plugin.
        seed: Of the first.
    """

    def __init__(self, options: Options, seed: int) -> None:
        self._options = options
        self._first = _digest(f"train/{seed}")
        self._next = 0

    def take(self, count: int) -> list[Prompt]:
        """The next ``count`` prompts."""
        places = range(self._next, self._next + count)
        self._next += count
        size = self._options.size
        inside = (place % size if size else place for place in places)
        return [prompt((self._first + place) % FIRST_HELD_OUT, self._options) for place in inside]

    def state(self) -> dict[str, Any]:
        """Where it is, as JSON values."""
        return {"first": self._first, "next": self._next}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly after the last prompt that was taken when ``state`` was called."""
        self._first, self._next = state["first"], state["next"]


def prompt(seed: int, options: Options) -> Prompt:
    """The prompt of a seed. What the environment says first takes its place in the episode."""
    return Prompt(
        id=f"{options.env}/{seed}",
        messages=[{"role": "user", "content": options.template}],
        label=seed,
    )


def eval_sets(options: Options) -> list[EvalSet]:
    """Episodes of seeds that are never trained on."""
    if not options.eval_size:
        return []
    first = FIRST_HELD_OUT + _digest(f"held_out/{options.eval_seed}")
    prompts = [prompt(first + place, options) for place in range(options.eval_size)]
    sampling = Sampling(temperature=0.0)
    return [EvalSet("heldout", prompts, sampling=sampling, metrics=measured)]


def measured(groups: Sequence[Group]) -> Mapping[str, float]:
    """Means of return, turns, mistakes, and of episodes that the environment ended."""
    parts = [
        one.metrics
        for group in groups
        for sample in group.scored
        for one in sample.rewards.values()
        if "return" in one.metrics
    ]
    names = ("return", "turns", "mistakes", "finished")
    return {name: fmean(part[name] for part in parts) for name in names} if parts else {}


def teacher_seed(seed: int, place: int) -> int:
    """The seed of a demonstration; never a held-out one."""
    return (_digest(f"teacher/{seed}") + place) % FIRST_HELD_OUT


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) // 4
