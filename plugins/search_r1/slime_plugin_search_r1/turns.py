"""What the model did in a turn: searched, answered, or neither.

Turns are as Search-R1 has them (https://arxiv.org/abs/2503.09516): reasoning between ``<think>``
and ``</think>``, then ``<search>query</search>`` or ``<answer>answer</answer>``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, final

#: What ends a turn of the model.
STOPS: Final = ("</search>", "</answer>")

MAX_QUERY: Final = 500

_BEGINS_TAG: Final = re.compile(r"<(?=[/|\w])")
_TAGS: Final = re.compile(r"</?(?:think|search|information|answer)>")

NOTHING: Final = (
    "There is no search and no answer. Write what to look for between <search> and </search>, "
    "or the final answer between <answer> and </answer>."
)
EMPTY: Final = "The query is empty. Write what to look for between <search> and </search>."
TOO_LONG: Final = (
    f"The query is too long. Write at most {MAX_QUERY} characters between <search> and </search>."
)
NOT_BEGUN: Final = "Before {end} there is no {begin}. Write {begin}, your text, and {end}."


@final
@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the model.

    Attributes:
        did: ``search``, ``answer``, or ``mistake``.
        text: The query, the answer, or what to tell the model of its mistake.
        whole: It has come to a ``</search>`` or ``</answer>``, and so is over.
    """

    did: Literal["search", "answer", "mistake"]
    text: str
    whole: bool = True


def read_turn(text: str) -> Turn:
    """What the model did in a turn, as text."""
    end, kind = _end(text)
    if end < 0:
        return Turn("mistake", NOTHING, whole=False)
    begin = text.rfind(f"<{kind}>", 0, end)
    if begin < 0:
        return Turn("mistake", NOT_BEGUN.format(begin=f"<{kind}>", end=f"</{kind}>"))
    inside = text[begin + len(kind) + 2 : end]
    return Turn("answer", inside.strip()) if kind == "answer" else _search(inside)


def well_formed(text: str, *, think: bool) -> bool:
    """Whether a turn has the right format: one search or answer, and nothing else but reasoning.

    Args:
        text: What the model wrote.
        think: Reasoning must come first. Its ``<think>`` may be part of the prompt.
    """
    end, kind = _end(text)
    begin = text.rfind(f"<{kind}>", 0, end) if end >= 0 else -1
    if begin < 0 or text[end + len(kind) + 3 :].strip():
        return False
    if kind == "search" and _search(text[begin + len(kind) + 2 : end]).did == "mistake":
        return False
    return _is_reasoning(text[:begin].strip(), think=think)


def unfinished(text: str) -> list[str]:
    """What is left to write of a ``</search>`` or ``</answer>`` that the text may have begun.

    A server looks for stop strings in what it writes itself: where a turn was broken off in
    the middle of one, only its rest will come.
    """
    return [
        stop[size:] for stop in STOPS for size in range(1, len(stop)) if text.endswith(stop[:size])
    ]


def without_tags(text: str) -> str:
    """A passage's text, in which neither the model nor its tokenizer takes anything for a tag."""
    return _BEGINS_TAG.sub("< ", text)


def _end(text: str) -> tuple[int, str]:
    """Where the turn's first search or answer ends, and which of them it is."""
    places = [(text.find(stop), stop[2:-1]) for stop in STOPS]
    return min((found for found in places if found[0] >= 0), default=(-1, ""))


def _search(inside: str) -> Turn:
    query = " ".join(_TAGS.sub(" ", inside).split())
    if not any(character.isalnum() for character in query):
        return Turn("mistake", EMPTY)
    return Turn("search", query) if len(query) <= MAX_QUERY else Turn("mistake", TOO_LONG)


def _is_reasoning(text: str, *, think: bool) -> bool:
    if not text:
        return not think
    inside, closed, after = text.removeprefix("<think>").partition("</think>")
    return bool(closed) and not after and not _TAGS.search(inside)
