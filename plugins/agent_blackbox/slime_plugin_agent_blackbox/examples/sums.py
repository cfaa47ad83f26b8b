"""The built-in task: sums of two digits. What the agent left in ``answer.txt`` is its answer."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Final

from slime_hookspecs import DataError, Prompt, Reward, Sample

HELD_OUT: Final = 20
SPLIT_SEED: Final = 1234
#: The most that a wrong answer is worth: where it has digits and nothing else.
DIGITS: Final = 0.2


def prompts(*, held_out: bool) -> list[Prompt]:
    """All 100 sums, split the same way always: 80 to train on, 20 held out."""
    pairs = [(a, b) for a in range(10) for b in range(10)]
    random.Random(SPLIT_SEED).shuffle(pairs)
    return [prompt(a, b) for a, b in (pairs[:HELD_OUT] if held_out else pairs[HELD_OUT:])]


def prompt(a: int, b: int) -> Prompt:
    """One sum as a task."""
    text = f"{a}+{b}="
    return Prompt(f"sums/{text}", [{"role": "user", "content": text}], label=a + b)


def score(sample: Sample, work: Path) -> Reward:
    """1 for the right number, else a little for digits, so that a model of random weights learns.

    Raises:
        DataError: the label is no number.
    """
    label = sample.prompt.label
    if not isinstance(label, int) or isinstance(label, bool):
        raise DataError(f"prompt {sample.prompt.id}: its label is {label!r:.80}, which is no sum")
    file = work / "answer.txt"
    text = (file.read_text(encoding="utf-8") if file.exists() else sample.response).strip()
    right = re.fullmatch(r"0*[0-9]{1,9}", text) is not None and int(text) == label
    digits = sum(one in "0123456789" for one in text) / max(1, len(text))
    return Reward(1.0 if right else DIGITS * digits, {"right": float(right), "digits": digits})
