"""Find a number by guessing; after each guess the game says whether it is higher or lower."""

from __future__ import annotations

import random
from typing import Any, ClassVar, TypeAlias, final

Step: TypeAlias = tuple[str, float, bool, bool, dict[str, Any]]


@final
class NumberGuessing:
    """An environment with Gymnasium's interface. The reward is 1 for finding the number, else 0.

    Args:
        most: The number is from 1 to this.
        guesses: How many may be made.
        shaped: Reward each guess for the part of the numbers left that it rules out, instead: 1 in
            total for finding the number.
    """

    quick: ClassVar = True

    def __init__(self, most: int = 20, guesses: int = 8, *, shaped: bool = False) -> None:
        if most < 2 or guesses < 1:
            raise ValueError(f"most is {most} and guesses {guesses}; at least 2 and 1")
        self._most, self._guesses, self._shaped = most, guesses, shaped

    def reset(self, seed: int | None = None) -> tuple[str, dict[str, Any]]:
        """Think of a number."""
        self._number = random.Random(seed).randint(1, self._most)
        self._low, self._high, self._left = 1, self._most, self._guesses
        return f"Guess a number from 1 to {self._most}.", {}

    def step(self, action: Any) -> Step:
        """Take a guess, as text or as a number."""
        self._left -= 1
        before = self._high - self._low + 1
        guess = _whole(action)
        text = self._told(guess)
        found = guess == self._number
        after = 0 if found else self._high - self._low + 1
        reward = (before - after) / self._most if self._shaped else float(found)
        return text, reward, found, not found and self._left <= 0, {}

    def close(self) -> None:
        """Nothing is open."""

    def _told(self, guess: int | None) -> str:
        if guess is None:
            return "not a number"
        if guess == self._number:
            return "correct"
        if guess < self._number:
            self._low = min(max(self._low, guess + 1), self._high)
            return "higher"
        self._high = max(min(self._high, guess - 1), self._low)
        return "lower"


def _whole(action: Any) -> int | None:
    text = str(action).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
