"""Whether a response is right: find its final answer, compare it with the label.

The answer is what follows the last ``Answer:`` on its line, as in DAPO's reward
(https://arxiv.org/abs/2503.14476). It is compared as text, or as mathematics by math-verify.
"""

from __future__ import annotations

import functools
import logging
import re
from typing import Any, Final

#: An answer stands at the end; DAPO looks no further back than this many characters.
TAIL: Final = 300
ANSWER: Final = re.compile(r"(?i)Answer\s*:\s*([^\n]+)")


def extract(response: str) -> str | None:
    """The final answer, or ``None`` where the response gives none."""
    found = ANSWER.findall(response[-TAIL:])
    return found[-1].strip() if found else None


def same_text(answer: str, label: str) -> bool:
    """Whether answer and label are the same text."""
    return answer == label


def same_value(answer: str, label: str) -> bool:
    """Whether answer and label are mathematically equal.

    Takes as long as sympy takes: call it where something can stop it.
    """
    if answer == label:
        return True
    gold, found = list(parse_label(label)), _parse(answer)
    return bool(found) and bool(_library().verify(gold, found, timeout_seconds=None))


@functools.lru_cache(maxsize=4096)
def parse_label(label: str) -> tuple[Any, ...]:
    """A label as mathematics; empty where it cannot be read as such."""
    return tuple(parsed for parsed in _parse(label) if not isinstance(parsed, str))


def _parse(text: str) -> list[Any]:
    # Without an anchor math-verify reads the last number only: (3, 4) would be 4.
    anchored = text if "$" in text or "\\boxed" in text else f"${text}$"
    return list(_library().parse(anchored, parsing_timeout=None))


@functools.cache
def _library() -> Any:
    """math-verify, imported when first needed: it brings sympy along.

    Its timeouts are SIGALRM, which works in main threads only, so they stay off, and so does its
    warning about that: the core stops a worker that takes too long.
    """
    import math_verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    return math_verify
