"""The small task: what is in it, and that episodes look like its conversations."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from search_r1_support import Play, new_sample
from slime_hookspecs import ConfigError, Prompt, Sample, StopReason
from slime_hookspecs.testing.kit import ScriptedEngine, TinyTokenizer, make_run
from slime_plugin_search_r1 import Options, slime_data_source, slime_eval_sets, tasks
from slime_plugin_search_r1.corpus import Corpus
from slime_plugin_search_r1.index import build
from slime_plugin_search_r1.local import LocalRetriever
from slime_plugin_search_r1.reward import score

FACT = tasks.Fact("bemoka", "471")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("task")
    return tasks.write_task(folder / "new", facts=300, conversations=1000, seed=1)


def rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_fact_is_a_sentence_and_a_question() -> None:
    assert FACT.text == "the code of bemoka is 471"
    assert FACT.question == "code of bemoka?"


def test_names_are_unique_and_the_same_for_the_same_seed() -> None:
    found = tasks.facts(2000, seed=3)
    assert len({fact.name for fact in found}) == len(found) == 2000
    assert all(len(fact.name) == 6 and len(fact.code) == 3 for fact in found)
    assert found == tasks.facts(2000, seed=3)
    assert found != tasks.facts(2000, seed=4)


@pytest.mark.parametrize("count", [0, 9, 10**7])
def test_there_are_only_so_many_facts(count: int) -> None:
    with pytest.raises(ConfigError, match=f"{count} facts; there must be from 10 to 171500"):
        tasks.facts(count)


def test_no_fact_is_both_imitated_and_trained_on_and_held_out() -> None:
    every = tasks.facts(100)
    parts = tasks.split(every)
    assert [len(part) for part in parts] == [40, 50, 10]
    assert {fact for part in parts for fact in part} == set(every)


def test_the_teacher_who_searches_is_told_what_an_episode_would_tell() -> None:
    assert tasks.conversation(FACT, random.Random(0), searches=1.0) == [
        {"role": "user", "content": "code of bemoka?"},
        {"role": "assistant", "content": "<search>bemoka</search>"},
        {
            "role": "user",
            "content": "<information>Doc 1: the code of bemoka is 471</information>",
        },
        {"role": "assistant", "content": "<answer>471</answer>"},
    ]


def test_the_teacher_who_does_not_search_makes_a_code_up() -> None:
    rng = random.Random(0)
    said = [tasks.conversation(FACT, rng, searches=0.0) for _ in range(500)]
    assert all(len(messages) == 2 for messages in said)
    answers = [messages[1]["content"] for messages in said]
    assert len(set(answers)) > 350
    assert answers.count("<answer>471</answer>") < 5


def test_the_files_hold_corpus_questions_and_conversations(files: dict[str, Path]) -> None:
    assert {what: len(rows(path)) for what, path in files.items()} == {
        "corpus": 300,
        "train": 150,
        "held_out": 30,
        "conversations": 1000,
    }
    codes = {row["id"]: row["contents"].rpartition(" is ")[2] for row in rows(files["corpus"])}
    for what in ("train", "held_out"):
        for row in rows(files[what]):
            assert row["golden_answers"] == [codes[row["question"][8:-1]]]


def test_the_teacher_searches_every_other_time_and_only_for_facts_to_imitate(
    files: dict[str, Path],
) -> None:
    said = [row["messages"] for row in rows(files["conversations"])]
    assert sum(len(messages) == 4 for messages in said) / 1000 == pytest.approx(0.5, abs=0.05)
    asked = {messages[0]["content"] for messages in said}
    others = {row["question"] for what in ("train", "held_out") for row in rows(files[what])}
    assert len(asked) > 100
    assert not asked & others


def test_every_question_of_the_task_is_answered_by_the_first_passage(
    files: dict[str, Path],
) -> None:
    index = build(Corpus(files["corpus"]))
    for row in (*rows(files["train"]), *rows(files["held_out"])):
        name = row["question"].removeprefix("code of ").removesuffix("?")
        (passage, _), *_ = index.search(name, 1)
        assert passage.text.endswith(f" is {row['golden_answers'][0]}")


def test_the_plugin_reads_the_task(files: dict[str, Path]) -> None:
    options = Options(
        data=[str(files["train"])],
        eval_data=[str(files["held_out"])],
        corpus=str(files["corpus"]),
        **tasks.OPTIONS,
    )
    (prompt,) = slime_data_source(options, make_run()).take(1)
    assert prompt.messages[0]["content"].startswith("code of ")
    (held_out,) = slime_eval_sets(options)
    assert (held_out.name, len(held_out.prompts)) == ("held_out", 30)


async def test_an_episode_has_the_tokens_of_the_conversation_it_imitates(
    play: Play, files: dict[str, Path]
) -> None:
    """What was learnt from messages is what happens in a run, token for token."""
    messages = next(
        row["messages"] for row in rows(files["conversations"]) if len(row["messages"]) == 4
    )
    engine = ScriptedEngine([messages[1]["content"], messages[3]["content"]])
    sample = Sample(0, 0, Prompt("p", messages[:1], [messages[3]["content"][8:-9]]))
    found_by = LocalRetriever(str(files["corpus"]), 1, 0)
    await play(engine, sample, found_by=found_by, **tasks.OPTIONS)
    rendered = TinyTokenizer().render(messages, add_generation_prompt=False)
    assert sample.trace.tokens == rendered[:-1]
    assert sample.stop is StopReason.STOP
    sample.response = messages[3]["content"]
    found = score(sample, Options(**tasks.OPTIONS))
    assert found.value == 1.0
    assert found.metrics == {
        "correct": 1.0,
        "answered": 1.0,
        "well_formed": 1.0,
        "searches": 1.0,
        "mistakes": 0.0,
    }


async def test_a_model_that_makes_codes_up_is_wrong(play: Play) -> None:
    said = tasks.conversation(FACT, random.Random(0), searches=0.0)[1]["content"]
    sample = await play(ScriptedEngine([said]), new_sample(), **tasks.OPTIONS)
    sample.prompt.label[:] = [FACT.code]
    sample.response = said
    assert score(sample, Options(**tasks.OPTIONS)).value == 0.0


def test_conversations_are_in_the_form_that_supervised_fine_tuning_reads(
    files: dict[str, Path],
) -> None:
    for row in rows(files["conversations"]):
        assert list(row) == ["messages"]
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(set(message) == {"role", "content"} for message in row["messages"])
