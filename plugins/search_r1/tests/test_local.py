"""The index in the process itself: built once, kept beside the corpus, found again."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from search_r1_support import write_rows
from slime_hookspecs import DataError
from slime_plugin_search_r1 import local
from slime_plugin_search_r1.conformance import FACTS
from slime_plugin_search_r1.corpus import Corpus
from slime_plugin_search_r1.index import META, build, load
from slime_plugin_search_r1.local import LocalRetriever, kept_folder, open_index


@pytest.fixture(autouse=True)
def nothing_open() -> Iterator[None]:
    """Indexes that a test opens are the test's."""
    before = dict(local._open)
    local._open.clear()
    yield
    local._open.clear()
    local._open.update(before)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The corpora that were indexed, one after another."""
    paths = list[Path]()

    def remembering(corpus: Corpus) -> Any:
        paths.append(corpus.path)
        return build(corpus)

    monkeypatch.setattr(local, "build", remembering)
    return paths


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus that counts as large."""
    monkeypatch.setattr(local, "KEEP_FROM_BYTES", 10)
    return write_rows(tmp_path / "c.jsonl", {"text": "gold"}, {"text": "silver"})


async def test_a_search_finds_the_passages_of_the_file() -> None:
    passages = await LocalRetriever(str(FACTS), 2, 0).search("longest river of Varnland")
    assert [one.title for one in passages] == ["Tielle", "Oskarholm"]


async def test_the_index_is_built_once_a_process(built: list[Path]) -> None:
    async def search(n: int) -> int:
        return len(await LocalRetriever(str(FACTS), 1 + n % 3, 0).search("river"))

    await asyncio.gather(*map(search, range(30)))
    LocalRetriever(str(FACTS), 3, 0).open()
    assert built == [FACTS]


async def test_a_large_index_is_opened_and_searched_beside_the_event_loop(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "ON_LOOP", 1)
    threads = list[str]()
    open_as_before = local.open_index

    def noting(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        index = open_as_before(*arguments)
        search = index.search

        class Noting:
            __len__ = index.__len__

            def search(self, query: str, top_k: int) -> Any:
                threads.append(threading.current_thread().name)
                return search(query, top_k)

        return Noting()

    monkeypatch.setattr(local, "open_index", noting)
    found = await asyncio.gather(
        *(LocalRetriever(str(large), 1, 0).search("gold") for _ in range(5))
    )
    assert [[one.text for one in passages] for passages in found] == [["gold"]] * 5
    assert len(threads) == 6
    assert threading.main_thread().name not in threads


def test_a_small_corpus_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", {"text": "gold"})
    assert len(open_index(path, 0)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_large_one_is_kept_under_its_digest_and_not_built_again(
    large: Path, built: list[Path]
) -> None:
    first = open_index(large, 0)
    kept = kept_folder(large)
    assert kept.parent == large.with_name("c.jsonl.bm25")
    assert len(load(kept)) == 2
    assert open_index(large, 0).search("gold", 1) == first.search("gold", 1)
    assert built == [large]


def test_a_corpus_that_changed_is_indexed_again_and_the_old_index_goes(
    large: Path, built: list[Path]
) -> None:
    open_index(large, 0)
    old = kept_folder(large)
    write_rows(large, {"text": "tin"})
    assert [one.text for one, _ in open_index(large, 0).search("tin", 1)] == ["tin"]
    assert built == [large, large]
    assert not old.exists()
    assert kept_folder(large).is_dir()


def test_a_kept_index_that_is_damaged_is_built_again(
    large: Path, built: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    open_index(large, 0)
    (kept_folder(large) / META).write_text("{")
    with caplog.at_level(logging.WARNING):
        assert len(open_index(large, 0)) == 2
    assert len(built) == 2
    assert "the index is damaged" in caplog.text
    assert "it is built again" in caplog.text
    assert len(load(kept_folder(large))) == 2


def test_where_nothing_can_be_written_the_index_is_not_kept(
    large: Path, caplog: pytest.LogCaptureFixture
) -> None:
    large.with_name("c.jsonl.bm25").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert len(open_index(large, 0)) == 2
    assert "the index of 2 passages is not kept" in caplog.text


def test_bad_lines_are_bad_in_a_kept_index_too(large: Path) -> None:
    write_rows(large, {"text": "gold"}, b"?")
    assert open_index(large, 1).bad_lines == 1
    assert json.loads((kept_folder(large) / META).read_bytes())["bad_lines"] == 1
    with pytest.raises(DataError, match=r"1 of 2 lines are bad, and 0 are allowed"):
        open_index(large, 0)


def test_a_folder_is_an_index_that_was_made_before(tmp_path: Path) -> None:
    build(Corpus(FACTS)).save(tmp_path / "index")
    assert len(LocalRetriever(str(tmp_path / "index"), 3, 0).open()) == 36
    with pytest.raises(DataError, match="no index here"):
        LocalRetriever(str(tmp_path), 3, 0).open()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.jsonl: no such file; search_r1\.corpus names"):
        LocalRetriever(str(tmp_path / "x.jsonl"), 3, 0).open()


async def test_a_corpus_that_is_bad_is_bad_at_each_search(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", b"?")
    for _ in range(2):
        with pytest.raises(DataError, match="1 of 1 lines are bad"):
            await LocalRetriever(str(path), 3, 0).search("gold")
