"""A task that two CPU cores can learn: add a one-digit number to one below a hundred."""

from __future__ import annotations

import random
from typing import Final, TypeAlias

from slime_hookspecs import Prompt

Problem: TypeAlias = tuple[int, int]

HELD_OUT: Final = 200
SPLIT_SEED: Final = 1234


def problems() -> tuple[list[Problem], list[Problem]]:
    """All 1,000 problems ``(a, b)``, always split the same way: 800 to train on, 200 held out."""
    pairs = [(a, b) for a in range(100) for b in range(10)]
    random.Random(SPLIT_SEED).shuffle(pairs)
    return pairs[HELD_OUT:], pairs[:HELD_OUT]


def question(problem: Problem) -> str:
    """What the user asks, e.g. ``37+5=``."""
    return f"{problem[0]}+{problem[1]}="


def answer(problem: Problem) -> str:
    """The right response, e.g. ``Answer: 42``."""
    return f"Answer: {sum(problem)}"


def prompt(problem: Problem) -> Prompt:
    """The problem as a prompt, with its sum as the label."""
    text = question(problem)
    return Prompt(
        id=f"addition/{text}",
        messages=[{"role": "user", "content": text}],
        label=str(sum(problem)),
    )
