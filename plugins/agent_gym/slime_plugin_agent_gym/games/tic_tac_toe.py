"""Noughts and crosses against a player who moves at random."""

from __future__ import annotations

import random
from typing import Any, ClassVar, Final, TypeAlias, final

Step: TypeAlias = tuple[str, float, bool, bool, dict[str, Any]]

LINES: Final = (
    *((3 * row, 3 * row + 1, 3 * row + 2) for row in range(3)),
    *((column, column + 3, column + 6) for column in range(3)),
    (0, 4, 8),
    (2, 4, 6),
)


@final
class TicTacToe:
    """An environment with Gymnasium's interface. The model is X and moves first.

    The reward is 1 for winning, ``draw`` for a draw, else 0. A move that is none loses.

    Args:
        draw: Reward of a draw.
    """

    quick: ClassVar = True

    def __init__(self, draw: float = 0.5) -> None:
        self._draw = draw

    def reset(self, seed: int | None = None) -> tuple[str, dict[str, Any]]:
        """Begin with an empty board."""
        self._random = random.Random(seed)
        self._board = ["."] * 9
        return f"You are X. Fields are 1 to 9.\n{self._shown()}", {}

    def step(self, action: Any) -> Step:
        """Move, as text or as a number, and let the other move."""
        text = str(action).strip()
        place = int(text) - 1 if text in tuple("123456789") else -1
        if place < 0 or self._board[place] != ".":
            return "That is no free field. You lose.", 0.0, True, False, {"winner": "O"}
        self._board[place] = "X"
        if not self._over():
            self._board[self._random.choice(free(self._board))] = "O"
        winner = won(self._board)
        over = self._over()
        reward = {"X": 1.0, "O": 0.0}.get(winner, self._draw if over else 0.0)
        return self._shown(), reward, over, False, {"winner": winner}

    def close(self) -> None:
        """Nothing is open."""

    def _over(self) -> bool:
        return bool(won(self._board)) or not free(self._board)

    def _shown(self) -> str:
        return "\n".join("".join(self._board[row : row + 3]) for row in (0, 3, 6))


def free(board: list[str]) -> list[int]:
    """Places that nobody took."""
    return [place for place, mark in enumerate(board) if mark == "."]


def won(board: list[str]) -> str:
    """Who has three in a line, or nothing."""
    return next((board[a] for a, b, c in LINES if board[a] == board[b] == board[c] != "."), "")
