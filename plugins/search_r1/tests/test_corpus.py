"""Corpora: passages of every form, bad lines, and how many of them there may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from search_r1_support import write_rows
from slime_hookspecs import DataError
from slime_plugin_search_r1.corpus import MAX_LINE_BYTES, Corpus
from slime_plugin_search_r1.passages import Passage, read_passage

BAD = (b"{nonsense", b"[1]", b'{"id": "x"}')


@pytest.mark.parametrize(
    ("row", "passage"),
    [
        ({"id": "a", "contents": "Gold."}, Passage("a", "", "Gold.")),
        ({"id": 3, "text": " Gold. "}, Passage("3", "", "Gold.")),
        ({"text": "Gold."}, Passage("7", "", "Gold.")),
        ({"id": "a", "title": "Au", "text": "Gold."}, Passage("a", "Au", "Gold.")),
        ({"id": "a", "title": None, "text": "Gold."}, Passage("a", "", "Gold.")),
        # As Search-R1's corpora have it.
        ({"id": "a", "contents": '"Au"\nGold.'}, Passage("a", "Au", "Gold.")),
        ({"id": "a", "contents": "Au\nGold.\nIt is."}, Passage("a", "Au", "Gold.\nIt is.")),
        ({"id": "a", "title": "Au", "contents": '"Au"\nGold.'}, Passage("a", "Au", "Gold.")),
        ({"contents": "Gold.", "text": "other"}, Passage("7", "", "Gold.")),
        ({"text": "half \ud800 one"}, Passage("7", "", "half ? one")),
    ],
)
def test_a_row_has_contents_or_text_and_may_have_a_title(
    row: dict[str, Any], passage: Passage
) -> None:
    assert read_passage(row, 7) == passage


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": "a", "content": "Gold."}, "neither contents nor text among 'id', 'content'"),
        ({}, "neither contents nor text among nothing"),
        ({"text": ""}, "contents are ''; they must be a text that is not blank"),
        ({"text": " \n"}, "contents are ' \\n'; they must be a text that is not blank"),
        ({"contents": ["Gold."]}, "contents are ['Gold.']; they must be a text that is not blank"),
        ({"text": "x", "title": 7}, "title is 7; it must be a text"),
        ({"text": "x", "id": [1]}, "id is [1]; it must be a text or a number"),
        ({"text": "x", "id": True}, "id is True; it must be a text or a number"),
    ],
)
def test_another_row_is_none(row: dict[str, Any], told: str) -> None:
    assert read_passage(row, 7) == told


@pytest.mark.parametrize("title", ["", "Au"])
def test_contents_say_the_same_when_they_are_read_again(title: str) -> None:
    passage = Passage("a", title, "Gold.")
    assert read_passage({"id": "a", "contents": passage.contents}, 1) == passage


def test_passages_come_in_the_order_of_the_file_and_blank_lines_are_nothing(
    tmp_path: Path,
) -> None:
    corpus = Corpus(write_rows(tmp_path / "c.jsonl", {"text": "a"}, b"", {"text": "b"}))
    assert list(corpus) == [Passage("1", "", "a"), Passage("3", "", "b")]
    assert (corpus.good_lines, corpus.bad_lines, corpus.bad) == (2, 0, [])


def test_bad_lines_are_left_out_and_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", {"text": "a"}, *BAD, b"\xff\xfe", {"text": "b"})
    corpus = Corpus(path, max_bad_lines=4)
    assert [passage.text for passage in corpus] == ["a", "b"]
    assert corpus.bad_lines == 4
    assert [line.partition("(")[0].strip() for line in corpus.bad] == [
        f"{path}:2: not a line of JSON",
        f"{path}:3: found [1]; each line must be a JSON object",
        f"{path}:4: neither contents nor text among 'id'",
        f"{path}:5: not a line of JSON",
    ]


def test_one_bad_line_too_many_stops_with_the_first_of_them(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", {"text": "a"}, *BAD * 4, {"text": "b"})
    with pytest.raises(DataError) as raised:
        list(Corpus(path, max_bad_lines=7))
    first, *shown = str(raised.value).splitlines()
    assert first == f"{path}: 8 of 9 lines are bad, and 7 are allowed"
    assert [line.split()[0] for line in shown] == [f"{path}:{n}:" for n in range(2, 7)]


def test_by_default_no_line_may_be_bad(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 of 2 lines are bad, and 0 are allowed"):
        list(Corpus(write_rows(tmp_path / "c.jsonl", {"text": "a"}, b"?")))


def test_a_file_of_bad_lines_only_has_no_passages(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", *BAD)
    with pytest.raises(DataError, match=r"the file has no passages\n  .*c\.jsonl:1: not a line"):
        list(Corpus(path, max_bad_lines=100))


@pytest.mark.parametrize("rows", [(), (b"", b"  ")])
def test_an_empty_file_has_no_passages(tmp_path: Path, rows: tuple[bytes, ...]) -> None:
    path = write_rows(tmp_path / "c.jsonl", *rows)
    with pytest.raises(DataError, match=r"c\.jsonl: the file has no passages$"):
        list(Corpus(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        list(Corpus(tmp_path / "none.jsonl"))


def test_a_line_of_two_megabytes_and_one_nested_too_deep_are_bad(tmp_path: Path) -> None:
    long = b'{"text": "' + b"a" * 2 * MAX_LINE_BYTES + b'"}'
    deep = b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    corpus = Corpus(write_rows(tmp_path / "c.jsonl", long, deep, {"text": "a"}), 2)
    assert len(list(corpus)) == 1
    assert "a passage has 1048576 at most" in corpus.bad[0]
    assert "c.jsonl:2: " in corpus.bad[1]


def test_progress_is_told_in_bytes_up_to_the_end(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", {"text": "a"}, b"?", {"text": "bc"})
    told = list[tuple[int, int]]()
    list(Corpus(path, 1, lambda done, total: told.append((done, total))))
    size = path.stat().st_size
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (size, size)
