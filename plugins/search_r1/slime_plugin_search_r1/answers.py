"""What of a response is the answer, and whether it is right."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from typing import Final

_ARTICLES: Final = re.compile(r"\b(?:a|an|the)\b")

#: A longer answer is wrong, whatever is in it.
MAX_LENGTH: Final = 1000


def extract(response: str) -> str | None:
    """What is between the last ``<answer>`` and its end; ``None`` without any."""
    _, begun, after = response.rpartition("<answer>")
    answer, closed, _ = after.partition("</answer>")
    return answer.strip() if begun and closed else None


def exact_match(answer: str, golden: Sequence[str]) -> bool:
    """Whether an answer is one of the right ones, but for how it is written."""
    if len(answer) > MAX_LENGTH:
        return False
    return normalised(answer) in {normalised(text) for text in golden}


def normalised(text: str) -> str:
    """A text without case, punctuation, articles and superfluous space, as SQuAD compares it.

    Punctuation is that of all scripts, and a character is the same however it is encoded. A text
    of nothing but articles or punctuation keeps them: no answer at all must not be equal to it.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
    plain = "".join(character for character in text if not _is_punctuation(character))
    words = _ARTICLES.sub(" ", plain).split()
    return " ".join(words or plain.split() or text.split())


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")
