"""Whether a response is right: find its final answer, compare it with the label.

The answer is what follows the last ``Answer:`` on its line. Answer and label are equal as texts,
or as numbers: whole, decimal, or fractions of whole numbers.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

#: An answer stands at the end; no further back than this many characters.
TAIL: Final = 300
ANSWER: Final = re.compile(r"(?i)Answer\s*:\s*([^\n]+)")
#: What may stand around a number: emphasis, mathematics, a currency, the end of a sentence.
AROUND: Final = " \t*_`$\\().,;!"
#: Digits of one number. Longer ones are texts.
MOST: Final = 400
NUMBER: Final = re.compile(
    r"([+-]?)(\d{1,3}(?:,\d{3})+|\d*)(?:\.(\d*))?(?:e([+-]?\d{1,3}))?(?:/(\d+))?", re.I | re.A
)


def extract(response: str) -> str | None:
    """The final answer, or ``None`` where the response gives none."""
    found = ANSWER.findall(response[-TAIL:])
    return found[-1].strip() if found else None


def same(answer: str, label: str) -> bool:
    """Whether answer and label are the same text or the same number."""
    if answer == label:
        return True
    right = number(label)
    return right is not None and number(answer) == right


def number(text: str) -> Fraction | None:
    """The number that a text is, exactly.

    >>> number("1,250.50"), number("**3/4**."), number("seven")
    (Fraction(2501, 2), Fraction(3, 4), None)
    """
    bare = text.strip().lstrip(AROUND.replace(".", "")).rstrip(AROUND).replace("\u2212", "-")
    found = NUMBER.fullmatch(bare) if len(bare) <= MOST else None
    if found is None:
        return None
    sign, whole, decimals, exponent, below = found.groups()
    if not (whole or decimals):
        return None
    value = Fraction(f"{sign}{(whole or '0').replace(',', '')}.{decimals or '0'}e{exponent or 0}")
    if below is None:
        return value
    return value / int(below) if int(below) else None
