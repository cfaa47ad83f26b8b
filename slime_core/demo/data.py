"""The demo's cold-start data: additions answered by a teacher who is right three times in ten."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

Problem: TypeAlias = tuple[int, int]

HELD_OUT: Final = 200
RIGHT: Final = 0.30
OFF_BY_ONE: Final = 0.55
_NEAR_MISSES: Final = (-2, -1, 2, 3, 10)


def problems() -> tuple[list[Problem], list[Problem]]:
    """The 800 training problems and the 200 held-out ones.

    They are those of the addition task of ``slime_plugin_math_dapo`` where that is installed.
    """
    try:
        addition = importlib.import_module("slime_plugin_math_dapo.addition")
    except ModuleNotFoundError:
        return split()
    train, held_out = addition.problems()
    return list(train), list(held_out)


def split() -> tuple[list[Problem], list[Problem]]:
    """Every two-digit plus one-digit number, shuffled the same way always: train, held out."""
    every = [(a, b) for a in range(100) for b in range(10)]
    random.Random(1234).shuffle(every)
    return every[HELD_OUT:], every[:HELD_OUT]


def sloppy_answer(problem: Problem, rng: random.Random) -> int:
    """The teacher's answer: right, or one too many, or else a near miss."""
    total = sum(problem)
    luck = rng.random()
    if luck < RIGHT:
        return total
    if luck < RIGHT + OFF_BY_ONE:
        return total + 1
    return max(0, total + rng.choice(_NEAR_MISSES))


def write_sloppy_sft(
    path: Path, rows: int, seed: int = 0, train: Sequence[Problem] | None = None
) -> Path:
    """Write conversations for supervised fine-tuning, one a line: ``{"messages": [...]}``.

    Args:
        path: The JSONL file.
        rows: Number of conversations; problems are drawn with replacement.
        seed: Seed of the draw and of the teacher.
        train: Problems to draw from; the 800 training problems by default.

    Returns:
        The file.
    """
    rng = random.Random(seed)
    pool = problems()[0] if train is None else train
    with path.open("w", encoding="utf-8") as file:
        for _ in range(rows):
            problem = rng.choice(pool)
            row = {"messages": conversation(problem, sloppy_answer(problem, rng))}
            file.write(json.dumps(row) + "\n")
    return path


def conversation(problem: Problem, answer: int) -> list[dict[str, str]]:
    """A question and an answer in the demo's form: ``37+5=``, ``Answer: 42``."""
    return [
        {"role": "user", "content": f"{problem[0]}+{problem[1]}="},
        {"role": "assistant", "content": f"Answer: {answer}"},
    ]
