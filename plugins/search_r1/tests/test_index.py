"""The index: what is found, in which order, and that it survives on disk."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_r1_support import write_rows
from slime_hookspecs import DataError
from slime_plugin_search_r1.conformance import FACTS, HELD_OUT, QUESTIONS
from slime_plugin_search_r1.corpus import Corpus
from slime_plugin_search_r1.index import META, OFFSETS, PASSAGES, Index, build, load, words
from slime_plugin_search_r1.passages import Passage


def made(folder: Path, *texts: str) -> Index:
    return build(Corpus(write_rows(folder / "c.jsonl", *({"text": text} for text in texts))))


def found(index: Index, query: str, top_k: int = 3) -> list[str]:
    return [passage.id for passage, _ in index.search(query, top_k)]


@pytest.fixture(scope="module")
def facts() -> Index:
    return build(Corpus(FACTS))


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("longest river of Varnland", "Tielle"),
        ("MOUNT HASK height", "Mount Hask"),
        ("Who first climbed Mount Hask?", "Mount Hask"),
        ("the comet Yrsa", "Comet Yrsa"),
        ("nettle leaves", "Brume"),
        ("last letter of the alphabet", "Varnish alphabet"),
    ],
)
def test_the_passage_that_answers_is_the_first(facts: Index, query: str, title: str) -> None:
    assert facts.search(query, 1)[0][0].title == title


def test_every_question_of_the_package_can_be_answered_from_what_it_finds(facts: Index) -> None:
    for line in (QUESTIONS.read_text() + HELD_OUT.read_text()).splitlines():
        row = json.loads(line)
        texts = " ".join(one.contents for one, _ in facts.search(row["question"], 5)).lower()
        assert any(answer.lower() in texts for answer in row["golden_answers"]), row


def test_scores_are_those_of_bm25(tmp_path: Path) -> None:
    """Lucene's formula, written down again: k1 = 1.5, b = 0.75."""
    texts = ["gold gold silver", "gold copper", "iron iron iron iron", "silver iron tin lead"]
    counts = [Counter(words(text)) for text in texts]
    mean = sum(map(Counter.total, counts)) / len(counts)

    def score(place: int, query: str) -> float:
        total = 0.0
        for word in query.split():
            having = sum(word in count for count in counts)
            rarity = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            times, length = counts[place][word], counts[place].total()
            total += rarity * times / (times + 1.5 * (1 - 0.75 + 0.75 * length / mean))
        return total

    hits = made(tmp_path, *texts).search("gold silver", 10)
    assert [(int(p.id) - 1, pytest.approx(s, rel=1e-5)) for p, s in hits] == sorted(
        ((i, score(i, "gold silver")) for i in (0, 1, 3)), key=lambda one: -one[1]
    )


def test_only_passages_that_share_a_word_are_found(tmp_path: Path) -> None:
    index = made(tmp_path, "gold", "silver", "gold silver")
    assert found(index, "gold") == ["1", "3"]
    assert found(index, "zinc") == []
    assert found(index, "") == []
    assert found(index, "?! ...") == []
    assert found(index, "gold", 0) == []


def test_equal_scores_keep_the_order_of_the_corpus(tmp_path: Path) -> None:
    index = made(tmp_path, *["gold"] * 20)
    assert found(index, "gold", 5) == ["1", "2", "3", "4", "5"]


def test_common_words_count_only_where_there_are_no_others(tmp_path: Path) -> None:
    index = made(tmp_path, "to be or not to be", "it is of the king", "a queen")
    assert found(index, "the queen") == ["3"]
    assert found(index, "to be") == ["1"]


def test_the_title_is_searched_too(tmp_path: Path) -> None:
    rows = [{"title": "Gold", "text": "A metal."}, {"title": "Tin", "text": "A metal."}]
    index = build(Corpus(write_rows(tmp_path / "c.jsonl", *rows)))
    assert found(index, "tin") == ["2"]


def test_other_scripts_have_words(tmp_path: Path) -> None:
    index = made(tmp_path, "Золото металл", "Ärger über Öl", "plain")
    assert (found(index, "золото"), found(index, "öl")) == (["1"], ["2"])


def test_a_passage_without_a_word_is_never_found_and_does_no_harm(tmp_path: Path) -> None:
    index = made(tmp_path, "!!!", "gold", "???")
    assert (len(index), found(index, "gold")) == (3, ["2"])


def test_a_corpus_without_a_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"c\.jsonl: no passage has a word in it"):
        made(tmp_path, "!!!", "???")


def test_a_query_of_a_megabyte_is_looked_up_by_its_first_words(tmp_path: Path) -> None:
    index = made(tmp_path, "gold", "silver")
    assert found(index, "x " * 63 + "gold " + "silver " * 200_000) == ["1"]


def test_a_saved_index_finds_the_same(facts: Index, tmp_path: Path) -> None:
    facts.save(tmp_path / "deep" / "index")
    again = load(tmp_path / "deep" / "index")
    assert list(again.passages) == list(facts.passages)
    assert list(again.passages[1:3]) == list(facts.passages[1:3])
    for query in ("river", "lighthouse of Sorrel", "nothing at all here", "Varnland"):
        assert again.search(query, 4) == facts.search(query, 4)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["index"]


def test_saving_over_an_index_replaces_it(facts: Index, tmp_path: Path) -> None:
    made(tmp_path, "gold").save(tmp_path / "index")
    facts.save(tmp_path / "index")
    assert len(load(tmp_path / "index")) == len(facts)


def test_a_save_that_fails_leaves_nothing_behind(facts: Index, tmp_path: Path) -> None:
    broken = Index([*facts.passages[:3], "no passage"], facts._scores)  # type: ignore[list-item]
    with pytest.raises(AttributeError):
        broken.save(tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_an_index_is_refused_with_the_command_that_makes_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match=r"no index here; make one with: slime-search-r1 index"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (META, b"{"),
        (META, b"{}"),
        (META, b'{"format": 1, "passages": 35, "bad_lines": 0}'),
        (PASSAGES, b'{"id": "1"}\n'),
        (OFFSETS, b"none"),
        ("vocab.index.json", b"["),
        ("data.csc.index.npy", b"\x93NUMPY"),
    ],
)
def test_a_damaged_index_is_refused(
    facts: Index, tmp_path: Path, name: str, content: bytes
) -> None:
    facts.save(tmp_path / "index")
    (tmp_path / "index" / name).write_bytes(content)
    with pytest.raises(DataError, match="the index is damaged"):
        load(tmp_path / "index")


def test_an_index_of_another_format_is_refused(facts: Index, tmp_path: Path) -> None:
    facts.save(tmp_path / "index")
    (tmp_path / "index" / META).write_text('{"format": 99}')
    with pytest.raises(DataError, match="an index of format 99, not 1; make one with"):
        load(tmp_path / "index")


def test_an_index_may_be_searched_from_many_threads(facts: Index) -> None:
    queries = ["river", "heron", "lighthouse", "Varnland", "eel"] * 40
    alone = [facts.search(query, 3) for query in queries]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda query: facts.search(query, 3), queries)) == alone


def test_another_process_finds_the_same_in_the_same_order() -> None:
    code = (
        "from slime_plugin_search_r1.index import build; from pathlib import Path;"
        "from slime_plugin_search_r1.corpus import Corpus; import sys;"
        "hits = build(Corpus(Path(sys.argv[1]))).search('Varnland the river of Sorrel', 30);"
        "print([(p.id, s) for p, s in hits])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(FACTS)],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert len(outputs.pop()) > 100


def test_progress_of_scoring_ends_at_the_whole(tmp_path: Path) -> None:
    told = list[tuple[int, int]]()
    path = write_rows(tmp_path / "c.jsonl", *({"text": f"word{n}"} for n in range(5)))
    build(Corpus(path), lambda done, total: told.append((done, total)))
    assert told == [(n, 15) for n in range(1, 16)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text("ab c", min_size=1).filter(str.strip), min_size=1, max_size=8), st.data())
def test_whoever_looks_for_a_passage_s_own_words_finds_one_that_has_one(
    texts: list[str], data: st.DataObject
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        index = made(Path(folder), *texts)
    query = data.draw(st.sampled_from(texts))
    hits = index.search(query, 3)
    assert hits
    assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)
    assert all(set(words(query)) & set(words(passage.text)) for passage, _ in hits)


def test_passages_say_the_same_after_a_round_trip_through_the_disk(tmp_path: Path) -> None:
    rows = [{"id": "ü", "title": "A\tB", "text": 'line\n"two" é 😀'}, {"text": "x"}]
    index = build(Corpus(write_rows(tmp_path / "c.jsonl", *rows)))
    index.save(tmp_path / "index")
    assert list(load(tmp_path / "index").passages) == [
        Passage("ü", "A\tB", 'line\n"two" é 😀'),
        Passage("2", "", "x"),
    ]
