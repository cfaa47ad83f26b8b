"""A BM25 index over passages: built, kept in a folder, searched.

The scores are those of ``bm25s`` (https://arxiv.org/abs/2407.03618), with Lucene's formula.
"""

from __future__ import annotations

import functools
import json
import logging
import mmap
import re
import shutil
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, final, overload

import numpy as np
from slime_hookspecs import DataError

from slime_plugin_search_r1.corpus import Corpus, Progress, silent
from slime_plugin_search_r1.passages import Passage

Hit: TypeAlias = tuple[Passage, float]

FORMAT: Final = 1
META: Final = "search_r1.json"
PASSAGES: Final = "passages.jsonl"
OFFSETS: Final = "offsets.npy"

#: Times that bm25s goes through the corpus: for lengths, for frequencies, for scores.
PASSES: Final = 3

#: Words of a query that count; a model may write very many.
MAX_QUERY_WORDS: Final = 64

_WORD: Final = re.compile(r"\w+")
#: Words that hardly tell passages apart, and are slow to look up: Lucene's list for English.
_COMMON: Final = frozenset(
    _WORD.findall(
        "a an and are as at be but by for if in into is it no not of on or such that the their "
        "then there these they this to was will with"
    )
)


@final
class Index:
    """Passages, and where their words are. May be searched from several threads at once.

    Args:
        passages: In the order in which they were indexed.
        scores: The index of ``bm25s``.
        bad_lines: Lines of the corpus that were left out.
    """

    def __init__(self, passages: Sequence[Passage], scores: Any, bad_lines: int = 0) -> None:
        self.passages = passages
        self.bad_lines = bad_lines
        self._scores = scores

    def __len__(self) -> int:
        return len(self.passages)

    def search(self, query: str, top_k: int) -> list[Hit]:
        """The best passages with their scores, the best first, equal ones in corpus order.

        Args:
            query: Any text.
            top_k: Most passages; fewer where fewer share a word with the query.
        """
        found = words(query)[:MAX_QUERY_WORDS]
        telling = [word for word in found if word not in _COMMON] or found
        ids = self._scores.get_tokens_ids(list(dict.fromkeys(telling)))
        if not ids or top_k < 1:
            return []
        scores = self._scores.get_scores_from_ids(ids)
        return [(self.passages[i], float(scores[i])) for i in _best(scores, top_k)]

    def save(self, folder: Path) -> None:
        """Write the index, so that a folder of that name is either whole or not there.

        Raises:
            OSError: the folder cannot be written.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.with_name(f"{folder.name}.{time.time_ns()}.partial")
        try:
            self._scores.save(partial, show_progress=False)
            _save_passages(partial, self.passages)
            meta = {"format": FORMAT, "passages": len(self), "bad_lines": self.bad_lines}
            (partial / META).write_text(json.dumps(meta), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def build(corpus: Corpus, progress: Progress = silent) -> Index:
    """Index a corpus.

    Args:
        corpus: What to read.
        progress: Told how much of how much is done, while scores are computed.

    Raises:
        DataError: the corpus is bad, or no passage has a word.
    """
    passages, ids, vocabulary = list[Passage](), _Watched(progress), dict[str, int]()
    for passage in corpus:
        found = words(f"{passage.title} {passage.text}")
        ids.append(array("i", [vocabulary.setdefault(w, len(vocabulary)) for w in found]))
        passages.append(passage)
    if not vocabulary:
        raise DataError(f"{corpus.path}: no passage has a word in it")
    scores = _library().BM25(method="lucene")
    scores.index((ids, vocabulary), create_empty_token=False, show_progress=False)
    return Index(passages, scores, corpus.bad_lines)


def load(folder: Path) -> Index:
    """An index that was saved.

    Raises:
        DataError: the folder holds none.
    """
    how = "make one with: slime-search-r1 index CORPUS.jsonl --output DIR"
    if not (folder / META).is_file():
        raise DataError(f"{folder}: no index here; {how}")
    try:
        meta = json.loads((folder / META).read_bytes())
        if meta["format"] != FORMAT:
            raise DataError(f"{folder}: an index of format {meta['format']}, not {FORMAT}; {how}")
        scores = _library().BM25.load(folder, mmap=True, show_progress=False)
        passages = _Kept(folder)
        if not len(passages) == meta["passages"] == scores.scores["num_docs"]:
            raise ValueError("its parts differ in length")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: the index is damaged ({error}); {how}") from error
    return Index(passages, scores, meta["bad_lines"])


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


def _best(scores: Any, top_k: int) -> list[int]:
    """Places of the highest scores above 0; the same in every process, whatever is equal."""
    places = np.flatnonzero(scores > 0)
    if len(places) > top_k:
        least = np.partition(scores[places], -top_k)[-top_k]
        places = places[scores[places] >= least]
    order = np.lexsort((places, -scores[places]))
    return [int(place) for place in places[order][:top_k]]


@final
class _Watched(list[Any]):
    """A list that tells how far those are who go through it ``PASSES`` times."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._done = 0

    def __iter__(self) -> Iterator[Any]:
        total = PASSES * len(self)
        for item in super().__iter__():
            self._done += 1
            self._progress(min(self._done, total), total)
            yield item


@final
class _Kept(Sequence[Passage]):
    """Passages that stay in their file, which may be larger than the memory."""

    def __init__(self, folder: Path) -> None:
        self._offsets = np.load(folder / OFFSETS)
        with (folder / PASSAGES).open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(self._data) != self._offsets[-1]:
            raise ValueError(f"{PASSAGES} has {len(self._data)} bytes, not {self._offsets[-1]}")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, place: int) -> Passage: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Passage]: ...

    def __getitem__(self, place: int | slice) -> Passage | Sequence[Passage]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        row = json.loads(self._data[int(self._offsets[place]) : int(self._offsets[place + 1])])
        return Passage(row["id"], row["title"], row["text"])


def _save_passages(folder: Path, passages: Iterable[Passage]) -> None:
    offsets = array("q", [0])
    with (folder / PASSAGES).open("wb") as file:
        for one in passages:
            row = {"id": one.id, "title": one.title, "text": one.text}
            size = file.write(json.dumps(row).encode() + b"\n")
            offsets.append(offsets[-1] + size)
    np.save(folder / OFFSETS, np.frombuffer(offsets, dtype=np.int64))


@functools.cache
def _library() -> Any:
    """bm25s, imported when first needed, with its notes to the developer turned off."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    return bm25s
