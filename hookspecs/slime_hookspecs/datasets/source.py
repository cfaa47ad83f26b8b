"""An endless stream over a list of prompts, in an order that a seed fixes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, final

from slime_hookspecs.errors import DataError
from slime_hookspecs.records import Prompt


@final
class PromptSource:
    """Epoch after epoch of the same prompts, each epoch shuffled from ``seed`` and its number.

    Args:
        prompts: All prompts, at least one.
        seed: Fixes the order of every epoch.
        shuffle: Whether to shuffle at all.
    """

    def __init__(self, prompts: Sequence[Prompt], seed: int, *, shuffle: bool) -> None:
        self._prompts = prompts
        self._seed = seed
        self._shuffle = shuffle
        self._epoch = 0
        self._position = 0
        self._order = self._order_of(0)

    def take(self, count: int) -> list[Prompt]:
        """The next ``count`` prompts, going on into the next epochs as needed."""
        return [self._next() for _ in range(count)]

    def state(self) -> dict[str, Any]:
        """Where the stream is, with what is needed to see that the data is still the same."""
        return {
            "epoch": self._epoch,
            "position": self._position,
            "seed": self._seed,
            "shuffle": self._shuffle,
            "prompts": len(self._prompts),
            "digest": self._digest,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue after the last prompt that was taken, in the order that was begun.

        Raises:
            DataError: the data is not what it was when the state was saved.
        """
        if state["digest"] != self._digest:
            raise DataError(
                f"the data changed since the checkpoint: it had {state['prompts']} prompts, "
                f"now {len(self._prompts)}; resume with the same data, or start a new run"
            )
        self._seed = state["seed"]
        self._shuffle = state["shuffle"]
        self._epoch = state["epoch"]
        self._position = state["position"]
        self._order = self._order_of(self._epoch)

    def _next(self) -> Prompt:
        if self._position == len(self._order):
            self._epoch += 1
            self._position = 0
            self._order = self._order_of(self._epoch)
        self._position += 1
        return self._prompts[self._order[self._position - 1]]

    def _order_of(self, epoch: int) -> list[int]:
        order = list(range(len(self._prompts)))
        if self._shuffle:
            random.Random(f"{self._seed}/{epoch}").shuffle(order)
        return order

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for prompt in self._prompts:
            digest.update(repr((prompt.messages, prompt.label)).encode())
        return digest.hexdigest()
