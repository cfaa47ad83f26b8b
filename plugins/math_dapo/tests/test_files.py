"""Data files, good ones and every way of being wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import ConfigError, DataError, RunInfo
from slime_plugin_math_dapo import Options, slime_data_source, slime_eval_sets
from slime_plugin_math_dapo.prompts import read_prompts

GOOD = {"prompt": "1+1=", "label": "2"}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as raised:
        read_prompts(path, Options(**options))
    return str(raised.value)


def test_a_string_becomes_a_user_message_in_the_template(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", GOOD)
    (prompt,) = read_prompts(path, Options(template="Solve {prompt} End with Answer: {x}"))
    assert prompt.id == "d/1"
    assert prompt.messages == [{"role": "user", "content": "Solve 1+1= End with Answer: {x}"}]
    assert prompt.label == "2"


def test_messages_are_taken_as_they_are(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1="}]
    path = write(tmp_path / "d.jsonl", {"prompt": messages, "label": 2})
    (prompt,) = read_prompts(path, Options(template="no {prompt}"))
    assert prompt.messages == messages
    assert prompt.label == "2"


def test_other_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", {"problem": "1+1=", "answer": "2"})
    (prompt,) = read_prompts(path, Options(prompt_column="problem", label_column="answer"))
    assert (prompt.messages[0]["content"], prompt.label) == ("1+1=", "2")


def test_parquet_reads_like_json_lines(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    rows = [GOOD, {"prompt": "2+2=", "label": "4"}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "d.parquet")
    write(tmp_path / "d.jsonl", *rows)
    found = read_prompts(tmp_path / "d.parquet", Options())
    assert found == read_prompts(tmp_path / "d.jsonl", Options())


def test_blank_lines_are_skipped_and_still_counted(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("\n" + json.dumps(GOOD) + "\n\n")
    (prompt,) = read_prompts(path, Options())
    assert prompt.id == "d/2"


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", GOOD)
    message = refusal(tmp_path / "tarin.jsonl")
    assert message == (
        f"{tmp_path}/tarin.jsonl: no such file; did you mean {tmp_path}/train.jsonl?"
    )
    assert "no folder" in refusal(tmp_path / "none" / "d.jsonl")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert refusal(write(tmp_path / "d.jsonl")) == f"{tmp_path}/d.jsonl: the file has no rows"


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("prompt,label\n")
    assert re.search(
        r"d\.csv: unknown kind of file '\.csv'; the known ones are \.jsonl, \.parquet",
        refusal(tmp_path / "d.csv"),
    )


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.parquet").write_text("not parquet")
    assert "d.parquet: not a Parquet file" in refusal(tmp_path / "d.parquet")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"prompt": ', r"d\.jsonl:2: not a line of JSON .*found '\{\"prompt\":'"),
        (b"\xff\xfe", r"d\.jsonl:2: not a line of JSON"),
        (b"[1, 2]", r"d\.jsonl:2: found \[1, 2\]; each line must be a JSON object"),
        (b'{"promt": "1", "label": "2"}', r"d\.jsonl:2: no column 'prompt'.*did you mean 'promt'"),
        (b'{"prompt": "1"}', r"d\.jsonl:2: no column 'label' among 'prompt'.*label-column names"),
        (b'{"prompt": " ", "label": "2"}', r"d\.jsonl:2: 'prompt' is ' '; it must be a string"),
        (b'{"prompt": [], "label": "2"}', r"d\.jsonl:2: 'prompt' is \[\]"),
        (b'{"prompt": [{"role": 1}], "label": "2"}', r"d\.jsonl:2: 'prompt' is \[\{'role': 1\}\]"),
        (b'{"prompt": "1", "label": null}', r"d\.jsonl:2: 'label' is None; it must be a string"),
        (b'{"prompt": "1", "label": true}', r"d\.jsonl:2: 'label' is True"),
        (b'{"prompt": "1", "label": ""}', r"d\.jsonl:2: 'label' is '', which no answer can match"),
        (b'{"prompt": "1", "label": "???"}', r"d\.jsonl:2: 'label' is '\?\?\?', which math-verify"),
    ],
)
def test_a_wrong_line_is_named_with_what_was_found(
    line: bytes, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + line + b"\n")
    assert re.search(expected, refusal(path))


def test_a_long_value_is_shown_only_in_part(tmp_path: Path) -> None:
    assert len(refusal(write(tmp_path / "d.jsonl", ["x" * 10_000]))) < 300


def test_any_label_will_do_where_answers_are_compared_as_text(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", {"prompt": "Which?", "label": "???"})
    assert read_prompts(path, Options(verifier="exact"))[0].label == "???"


def test_a_run_without_data_says_what_to_type(run: RunInfo) -> None:
    with pytest.raises(ConfigError, match=r"--math-dapo\.data FILE.*--math-dapo\.task addition"):
        slime_data_source(Options(), run)


def test_each_evaluation_file_makes_sets_of_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "aime-2024.jsonl", GOOD)
    sets = slime_eval_sets(Options(eval_data=[str(path)]))
    assert [s.name for s in sets] == ["aime_2024_greedy", "aime_2024_sampled"]
    both = slime_eval_sets(Options(task="addition", eval_data=[str(path)]))
    assert [s.name for s in both][::2] == ["heldout_greedy", "aime_2024_greedy"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"task": "adition"}, "math_dapo.task is 'adition'; the built-in one is \"addition\""),
        ({"task": "addition", "data": "d.jsonl"}, "choose one"),
        ({"template": "solve it"}, "without {prompt}"),
        ({"overlong_buffer": -1}, "math_dapo.overlong_buffer is -1; it must be 0 or more"),
    ],
)
def test_options_that_cannot_be_served_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Options(**wrong)
