"""Conversations from files, good ones and wrong ones, and the stream over them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import ConfigError, DataError, DataSource, Message, Prompt, RunInfo
from slime_plugin_sft import Options, slime_data_source
from slime_plugin_sft.conversations import read_conversations

Conversation = Callable[..., Prompt]

ASK: Message = {"role": "user", "content": "1+1="}
SAY: Message = {"role": "assistant", "content": "2"}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "columns",
    [
        {"messages": [ASK, SAY]},
        {"prompt": "1+1=", "response": "2"},
        {"prompt": [ASK], "response": "2"},
    ],
)
def test_each_form_of_row_gives_the_same_conversation(
    columns: dict[str, Any], conversation: Conversation
) -> None:
    prompt = conversation(columns)
    assert prompt.messages == [ASK, SAY]
    assert prompt.metadata["trained"] == [1]
    assert prompt.metadata["place"].endswith("d.jsonl:1")


def test_of_a_prompt_with_history_only_the_response_is_imitated(
    conversation: Conversation,
) -> None:
    prompt = conversation({"prompt": [ASK, SAY, ASK], "response": "3"})
    assert prompt.metadata["trained"] == [3]


def test_parquet_reads_like_json_lines(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    rows = [{"messages": [ASK, {**SAY, "train": False}, ASK, SAY]}, {"messages": [ASK, SAY]}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "d.parquet")
    found = read_conversations(tmp_path / "d.parquet", Options())
    expected = read_conversations(write(tmp_path / "d.jsonl", *rows), Options())
    assert [p.messages for p in found] == [p.messages for p in expected]
    assert [p.metadata["trained"] for p in found] == [[3], [1]]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"mesages": []}, r"d\.jsonl:1: no column 'messages'.*did you mean 'mesages'"),
        ({"prompt": "1"}, r"no column 'response' among 'prompt'.*--sft\.response-column"),
        ({"response": "1"}, r"no column 'prompt' among 'response'.*--sft\.prompt-column"),
        ({"prompt": "1", "response": 2}, r"'response' is 2; it must be a string"),
        ({"prompt": 1, "response": "2"}, r"'prompt' is 1; it must be messages like"),
        ({"messages": []}, r"'messages' is \[\]; it must be messages like"),
        ({"messages": "hello"}, r"'messages' is 'hello'; it must be messages like"),
        ({"messages": [ASK]}, r"no assistant message to imitate"),
        ({"messages": [ASK, {**SAY, "train": False}]}, r"no assistant message to imitate"),
        ({"messages": [SAY]}, r"begins with the message to imitate"),
        ({"messages": [{"content": "x"}, SAY]}, r"message 0 is \{'content': 'x'\}, without a role"),
        ({"messages": [{"role": "user"}, SAY]}, r"message 0 .*without content"),
        ({"messages": [ASK, {**SAY, "train": 1}]}, r"message 1 has train 1; it must be true or"),
        ({"messages": [{**ASK, "train": True}, SAY]}, r"message 0 of role 'user' has train true"),
    ],
)
def test_a_wrong_row_is_named_with_what_was_found(
    row: dict[str, Any], expected: str, conversation: Conversation
) -> None:
    with pytest.raises(DataError) as raised:
        conversation(row)
    assert re.search(r"d\.jsonl:1: ", str(raised.value))
    assert re.search(expected, str(raised.value))


def test_files_are_read_one_after_another_and_ids_stay_unique(tmp_path: Path, run: RunInfo) -> None:
    (tmp_path / "b").mkdir()
    first = write(tmp_path / "d.jsonl", {"messages": [ASK, SAY]}, {"messages": [ASK, SAY]})
    second = write(tmp_path / "b" / "d.jsonl", {"messages": [ASK, SAY]})
    source = slime_data_source(Options(data=[str(first), str(second)], shuffle=False), run)
    assert isinstance(source, DataSource)
    assert [p.id for p in source.take(4)] == [
        f"{first}/1",
        f"{first}/2",
        f"{second}/1",
        f"{first}/1",
    ]


def test_the_stream_continues_where_a_checkpoint_left_it(tmp_path: Path, run: RunInfo) -> None:
    rows = [{"prompt": str(i), "response": str(i)} for i in range(10)]
    options = Options(data=[str(write(tmp_path / "d.jsonl", *rows))], seed=5)
    source, resumed = slime_data_source(options, run), slime_data_source(options, run)
    source.take(13)
    resumed.restore(json.loads(json.dumps(source.state())))
    assert [p.id for p in resumed.take(20)] == [p.id for p in source.take(20)]


def test_a_file_that_is_not_there_is_refused(run: RunInfo, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        slime_data_source(Options(data=[str(tmp_path / "none.jsonl")]), run)


def test_a_run_without_data_says_what_to_type(run: RunInfo) -> None:
    with pytest.raises(ConfigError, match=r"--sft\.data FILE"):
        slime_data_source(Options(), run)


def test_a_negative_cache_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sft\.cache_tokens is -1; it must be 0 or more"):
        Options(cache_tokens=-1)
