"""A task that a tiny model can learn on a CPU: look up the code of a name, and copy it.

The corpus says ``the code of bemoka is 471`` of many invented names. Nobody can know a code, so
that only a model that searches is right. The conversations to imitate are of a teacher who
searches every other time, and else makes a code up: reinforcement learning has something to win.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from slime_hookspecs import ConfigError, Message

from slime_plugin_search_r1.episode import framed, shown
from slime_plugin_search_r1.passages import Passage

CONSONANTS: Final = "bdfgklmnprstvz"
VOWELS: Final = "aeiou"
SYLLABLES: Final = 3
DIGITS: Final = 3

#: Part of the facts whose questions are held out, and part whose questions are to be imitated.
HELD_OUT: Final = 0.1
IMITATED: Final = 0.4
#: How often the teacher searches.
SEARCHES: Final = 0.5

#: Options that make episodes look like the conversations.
OPTIONS: Final[Mapping[str, Any]] = {
    "template": "{question}",
    "top_k": 1,
    "reply_as": "user",
    "think": False,
    "max_replies": 2,
}


@final
@dataclass(frozen=True, slots=True)
class Fact:
    """One name and its code.

    Attributes:
        name: Three syllables, unique.
        code: Digits.
    """

    name: str
    code: str

    @property
    def text(self) -> str:
        """What the corpus says."""
        return f"the code of {self.name} is {self.code}"

    @property
    def question(self) -> str:
        """What the user asks."""
        return f"code of {self.name}?"


def facts(count: int, seed: int = 0) -> list[Fact]:
    """Invented facts, no name twice.

    Raises:
        ConfigError: there are not so many names.
    """
    names = (len(CONSONANTS) * len(VOWELS)) ** SYLLABLES
    if not 10 <= count <= names // 2:
        raise ConfigError(f"{count} facts; there must be from 10 to {names // 2}")
    rng = random.Random(seed)
    found = dict[str, str]()
    while len(found) < count:
        name = "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(SYLLABLES))
        found.setdefault(name, "".join(rng.choices("0123456789", k=DIGITS)))
    return [Fact(name, code) for name, code in found.items()]


def split(every: Sequence[Fact]) -> tuple[list[Fact], list[Fact], list[Fact]]:
    """Facts to imitate, to train on, and held out: no fact is in two of them."""
    held_out, imitated = int(len(every) * HELD_OUT), int(len(every) * IMITATED)
    rest = list(every[held_out:])
    return rest[:imitated], rest[imitated:], list(every[:held_out])


def conversation(fact: Fact, rng: random.Random, searches: float = SEARCHES) -> list[Message]:
    """A question and the teacher's answer to it, after a search or made up."""
    asked: Message = {"role": "user", "content": fact.question}
    if rng.random() >= searches:
        made_up = "".join(rng.choices("0123456789", k=DIGITS))
        return [asked, {"role": "assistant", "content": f"<answer>{made_up}</answer>"}]
    found = framed(shown([Passage("", "", fact.text)]))
    return [
        asked,
        {"role": "assistant", "content": f"<search>{fact.name}</search>"},
        {"role": "user", "content": found},
        {"role": "assistant", "content": f"<answer>{fact.code}</answer>"},
    ]


def write_task(
    folder: Path, *, facts: int = 2000, conversations: int = 20_000, seed: int = 0
) -> dict[str, Path]:
    """Write the task.

    Args:
        folder: Where; made if it is not there.
        facts: Facts in the corpus.
        conversations: Rows for supervised fine-tuning, in the form that ``sft`` reads.
        seed: Seed of all of it.

    Returns:
        The files, by what they are: ``corpus``, ``train``, ``held_out`` and ``conversations``.
    """
    every = _facts(facts, seed)
    imitated, train, held_out = split(every)
    rng = random.Random(f"{seed}/teacher")
    rows = {
        "corpus": ({"id": one.name, "contents": one.text} for one in every),
        "train": map(_question, train),
        "held_out": map(_question, held_out),
        "conversations": (
            {"messages": conversation(rng.choice(imitated), rng)} for _ in range(conversations)
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    return {what: _write(folder / f"{what}.jsonl", found) for what, found in rows.items()}


#: Where a parameter has the same name.
_facts: Final = facts


def _question(fact: Fact) -> dict[str, Any]:
    return {"question": fact.question, "golden_answers": [fact.code]}


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
