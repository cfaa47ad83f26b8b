"""A passage of a corpus, and what can find passages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

from slime_hookspecs import RunError


class RetrievalError(RunError):
    """The retrieval server did not answer as it must. Costs the sample that asked."""


@final
@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text to be found.

    Attributes:
        id: Name within its corpus.
        title: Of the article that it is from, or nothing.
        text: What it says.
    """

    id: str
    title: str
    text: str

    @property
    def contents(self) -> str:
        """Title and text in one, as Search-R1's corpora have them."""
        return f'"{self.title}"\n{self.text}' if self.title else self.text


class Retriever(Protocol):
    """Finds passages, wherever they are."""

    async def search(self, query: str) -> Sequence[Passage]:
        """The best passages for a query, the best first; few or none where nothing fits.

        Raises:
            RetrievalError: there is no answer, after retries.
        """


def read_passage(row: Mapping[str, Any], number: int) -> Passage | str:
    """The passage in a row of a corpus or of a server's answer, or what is wrong with the row.

    Args:
        row: ``id`` (or else the number), ``title`` if there is one, ``contents`` or ``text``.
            Without a title, the first line of contents that have several is one.
        number: Of the row.
    """
    name = row.get("id", number)
    title = row.get("title") or ""
    text = row.get("contents", row.get("text"))
    if text is None:
        return f"neither contents nor text among {', '.join(map(repr, row)) or 'nothing'}"
    if not isinstance(text, str) or not text.strip():
        return f"contents are {text!r:.60}; they must be a text that is not blank"
    if not isinstance(title, str):
        return f"title is {title!r:.60}; it must be a text"
    if not isinstance(name, str | int) or isinstance(name, bool):
        return f"id is {name!r:.60}; it must be a text or a number"
    title, text = _mended(title), _mended(text)
    if not title:
        title, text = _parted(text)
    elif text.startswith(f'"{title}"\n'):
        text = text.partition("\n")[2].strip()
    return Passage(str(name), title, text)


def _mended(text: str) -> str:
    """A text that every tokenizer takes: JSON may hold halves of characters."""
    return text.encode("utf-8", "replace").decode().strip()


def _parted(contents: str) -> tuple[str, str]:
    first, _, rest = contents.partition("\n")
    return (first.strip().strip('"'), rest.strip()) if rest.strip() else ("", contents)
