"""Questions: good files, every way of being wrong, and the hooks that read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from search_r1_support import serving, write_rows
from slime_hookspecs import ConfigError, DataError
from slime_hookspecs.testing.kit import make_run
from slime_plugin_search_r1 import Options, slime_data_source, slime_eval_sets
from slime_plugin_search_r1.conformance import FACTS, HELD_OUT, QUESTIONS
from slime_plugin_search_r1.questions import TEMPLATE, read_questions
from slime_plugin_search_r1.reward import exact_match

GOOD = {"id": "nq_1", "question": "Which bird?", "golden_answers": ["heron", "a heron"]}


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as raised:
        read_questions([str(path)], Options(**options))
    return str(raised.value)


def test_a_row_becomes_a_prompt_in_search_r1_s_words(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "q.jsonl", GOOD)
    (prompt,) = read_questions([str(path)], Options())
    assert prompt.id == f"{path}/1"
    assert prompt.messages == [
        {"role": "user", "content": TEMPLATE.replace("{question}", "Which bird?")}
    ]
    assert prompt.label == ["heron", "a heron"]


def test_the_words_can_be_others_and_braces_in_questions_are_kept(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "q.jsonl", {**GOOD, "question": " What is {x}? "})
    (prompt,) = read_questions([str(path)], Options(template="Q: {question} A{1}:"))
    assert prompt.messages[0]["content"] == "Q: What is {x}? A{1}:"


@pytest.mark.parametrize(
    ("given", "label"),
    [("heron", ["heron"]), (["a", "b"], ["a", "b"]), (7, ["7"]), ([7.5], ["7.5"])],
)
def test_an_answer_or_a_list_of_them_is_given(tmp_path: Path, given: Any, label: Any) -> None:
    path = write_rows(tmp_path / "q.jsonl", {**GOOD, "golden_answers": given})
    assert read_questions([str(path)], Options())[0].label == label


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "q.jsonl", {"q": "Which?", "a": "x"})
    options = Options(question_column="q", answers_column="a", template="{question}")
    (prompt,) = read_questions([str(path)], options)
    assert (prompt.messages[0]["content"], prompt.label) == ("Which?", ["x"])


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"question": ""}, "'question' is ''; it must be a text that is not blank"),
        ({"question": 7}, "'question' is 7"),
        ({"golden_answers": []}, "'golden_answers' is []; it must be a right answer, or a list"),
        ({"golden_answers": [""]}, "'golden_answers' is ['']"),
        ({"golden_answers": [["x"]]}, "'golden_answers' is [['x']]"),
        ({"golden_answers": None}, "'golden_answers' is None"),
        ({"golden_answers": True}, "'golden_answers' is True"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(
    tmp_path: Path, row: dict[str, Any], told: str
) -> None:
    path = write_rows(tmp_path / "q.jsonl", GOOD, {**GOOD, **row})
    assert refusal(path).startswith(f"{path}:2: {told}")


def test_a_misspelt_column_gets_the_nearest_name(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "q.jsonl", {"questions": "?", "golden_answers": "x"})
    assert "did you mean 'questions'? (--search-r1.question-column questions)" in refusal(path)
    path = write_rows(tmp_path / "q.jsonl", {"question": "?", "golden_answer": "x"})
    assert "(--search-r1.answers-column golden_answer)" in refusal(path)


def test_a_file_that_is_not_there_or_no_json_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.jsonl")
    assert f"{tmp_path / 'q.jsonl'}:1: not a line of JSON" in refusal(
        write_rows(tmp_path / "q.jsonl", b"{nonsense")
    )


def test_the_source_gives_the_questions_of_all_files(tmp_path: Path) -> None:
    other = write_rows(tmp_path / "q.jsonl", GOOD)
    options = Options(data=[str(QUESTIONS), str(other)], corpus=str(FACTS))
    taken = slime_data_source(options, make_run()).take(21)
    assert len({prompt.id for prompt in taken}) == 21
    assert f"{other}/1" in {prompt.id for prompt in taken}


def test_the_order_is_the_run_s_unless_it_has_a_seed_of_its_own() -> None:
    def order(run_seed: int, **options: Any) -> list[str]:
        chosen = Options(data=[str(QUESTIONS)], corpus=str(FACTS), **options)
        return [p.id for p in slime_data_source(chosen, make_run(seed=run_seed)).take(20)]

    assert order(1) != order(2)
    assert order(1, seed=5) == order(2, seed=5)
    assert order(1, shuffle=False) == [f"{QUESTIONS}/{n}" for n in range(1, 21)]


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({}, ConfigError, "nothing to train on; name files with --search-r1.data FILE"),
        (
            {"data": [str(QUESTIONS)]},
            ConfigError,
            "nothing to search; name a server with --search-r1.url URL, or passages with "
            "--search-r1.corpus FILE",
        ),
        ({"data": [str(QUESTIONS)], "corpus": "none.jsonl"}, DataError, "none.jsonl: no such file"),
        (
            {"data": [str(QUESTIONS)], "url": "http://127.0.0.1:9", "retries": 0},
            ConfigError,
            r"search_r1\.url: no retrieval server answers at http://127.0.0.1:9/retrieve",
        ),
    ],
)
def test_what_is_missing_is_found_before_anything_starts(
    options: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        slime_data_source(Options(**options), make_run())


async def test_a_server_of_something_else_is_found_before_anything_starts() -> None:
    from aiohttp import web

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    async with serving(page) as url:
        import asyncio

        options = Options(data=[str(QUESTIONS)], url=url)
        with pytest.raises(ConfigError, match="is no retrieval server: it answered '<html>"):
            await asyncio.to_thread(slime_data_source, options, make_run())


def test_held_out_files_are_sets_measured_greedily(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "hotpot-qa dev.jsonl", GOOD)
    first, second = slime_eval_sets(Options(eval_data=[str(HELD_OUT), str(path)]))
    assert (first.name, len(first.prompts)) == ("questions_held_out", 10)
    assert (second.name, len(second.prompts)) == ("hotpot_qa_dev", 1)
    assert (first.sampling.temperature, first.samples_per_prompt) == (0.0, 1)
    assert first.metrics is second.metrics is exact_match
    assert slime_eval_sets(Options()) == []


def test_two_held_out_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    paths = [write_rows(folder / "q.jsonl", GOOD) for folder in (tmp_path, tmp_path / "a")]
    with pytest.raises(ConfigError, match="eval_data has two files called q"):
        slime_eval_sets(Options(eval_data=[str(path) for path in paths]))


def test_no_question_of_the_package_is_both_trained_on_and_held_out() -> None:
    def read(path: Path) -> set[str]:
        found = read_questions([str(path)], Options(template="{question}"))
        return {prompt.messages[0]["content"] for prompt in found}

    assert (len(read(QUESTIONS)), len(read(HELD_OUT))) == (20, 10)
    assert not read(QUESTIONS) & read(HELD_OUT)
