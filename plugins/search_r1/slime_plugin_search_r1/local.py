"""An index in the process itself, for corpora that need no server of their own."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, final

from slime_hookspecs import DataError

from slime_plugin_search_r1.corpus import Corpus
from slime_plugin_search_r1.index import Index, build, load
from slime_plugin_search_r1.passages import Passage

#: A smaller corpus is indexed again in each process: that takes no longer than a second.
KEEP_FROM_BYTES: Final = 1 << 20
#: Searching more passages than this takes so long that the event loop must not wait for it.
ON_LOOP: Final = 20_000

_log: Final = logging.getLogger("slime.plugin.search_r1")
_lock: Final = threading.Lock()
_open: Final[dict[tuple[str, int], Index]] = {}


@final
class LocalRetriever:
    """Searches an index of this process, which is opened when it is first needed."""

    def __init__(self, corpus: str, top_k: int, max_bad_lines: int) -> None:
        self._corpus = corpus
        self._top_k = top_k
        self._max_bad_lines = max_bad_lines

    def open(self) -> Index:
        """The index, built or loaded once a process.

        Raises:
            DataError: the corpus or the index is bad.
        """
        key = (self._corpus, self._max_bad_lines)
        with _lock:
            if key not in _open:
                _open[key] = open_index(Path(self._corpus), self._max_bad_lines)
            return _open[key]

    async def search(self, query: str) -> Sequence[Passage]:
        """The best passages for a query, the best first."""
        index = _open.get((self._corpus, self._max_bad_lines)) or await self._opened()
        if len(index) <= ON_LOOP:
            hits = index.search(query, self._top_k)
        else:
            hits = await asyncio.to_thread(index.search, query, self._top_k)
        return [passage for passage, _ in hits]

    async def _opened(self) -> Index:
        """The index, where no data source of this plugin has opened it."""
        if _is_small(Path(self._corpus)):
            return self.open()
        return await asyncio.to_thread(self.open)


def open_index(corpus: Path, max_bad_lines: int) -> Index:
    """The index of a corpus file, from beside it where it was built before; or a saved index.

    Raises:
        DataError: the corpus or the index is bad.
    """
    if corpus.is_dir():
        return load(corpus)
    if not corpus.is_file():
        raise DataError(f"{corpus}: no such file; search_r1.corpus names JSON Lines of passages")
    if _is_small(corpus):
        return build(Corpus(corpus, max_bad_lines))
    kept = kept_folder(corpus)
    index = _reuse(kept)
    if index is None:
        index = build(Corpus(corpus, max_bad_lines))
        _keep(index, kept)
    elif index.bad_lines > max_bad_lines:
        build(Corpus(corpus, max_bad_lines))  # Says which lines are bad.
    return index


def kept_folder(corpus: Path) -> Path:
    """Where the index of a corpus of these very contents is kept."""
    with corpus.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return corpus.with_name(f"{corpus.name}.bm25") / digest[:16]


def _is_small(corpus: Path) -> bool:
    return corpus.is_file() and corpus.stat().st_size < KEEP_FROM_BYTES


def _reuse(kept: Path) -> Index | None:
    if not kept.is_dir():
        return None
    try:
        return load(kept)
    except DataError as error:
        _log.warning("%s; it is built again", error)
        return None


def _keep(index: Index, kept: Path) -> None:
    try:
        index.save(kept)
    except OSError as error:
        _log.warning("the index of %d passages is not kept: %s", len(index), error)
        return
    for other in kept.parent.iterdir():
        if other != kept and not other.name.endswith(".partial"):
            shutil.rmtree(other, ignore_errors=True)  # Of contents that the corpus had before.
