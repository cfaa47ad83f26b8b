"""Conversations to imitate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from slime_plugin_reasoning_gym import Options, slime_eval_sets
from slime_plugin_reasoning_gym.tasks import conversations, main, write

pytestmark = pytest.mark.usefixtures("stand_in")


def options(**more: Any) -> Options:
    return Options(**{"tasks": ["counts"], "timeout_s": 2.75, "template": "{question}", **more})


def right(row: dict[str, Any]) -> bool:
    asked, said = (message["content"] for message in row["messages"])
    return bool(said == f"<answer>{asked.removeprefix('Task ').removesuffix('?')}</answer>")


@pytest.mark.parametrize(("part", "least", "most"), [(1.0, 100, 100), (0.5, 35, 70), (0.0, 0, 6)])
def test_the_teacher_is_right_as_often_as_asked(part: float, least: int, most: int) -> None:
    rows = list(conversations(options(), 100, right=part))
    assert len(rows) == 100
    assert least <= sum(map(right, rows)) <= most
    assert all([m["role"] for m in row["messages"]] == ["user", "assistant"] for row in rows)


def test_they_are_the_same_twice_and_others_with_another_seed() -> None:
    first = list(conversations(options(), 70))
    assert first == list(conversations(options(), 70))
    assert first != list(conversations(options(), 70, seed=1))


def test_no_held_out_problem_is_shown() -> None:
    small = options(datasets={"counts": {"config": {"spread": 20}}}, eval_size=8)
    held = {one.messages[0]["content"] for made in slime_eval_sets(small) for one in made.prompts}
    shown = {row["messages"][0]["content"] for row in conversations(small, 100)}
    assert len(held) == 8
    assert not held & shown


def test_answers_stand_as_the_options_say() -> None:
    (row,) = conversations(options(answer_tag="final"), 1)
    assert row["messages"][1]["content"].startswith("<final>")
    (row,) = conversations(options(answer="response"), 1)
    assert row["messages"][1]["content"].isdigit()


def test_the_sft_plugin_reads_what_is_written(tmp_path: Path) -> None:
    from slime_plugin_sft import Options as SftOptions
    from slime_plugin_sft.conversations import read_conversations

    path = write(tmp_path / "made" / "c.jsonl", options(), 5)
    read = read_conversations(path, SftOptions())
    assert [one.metadata["trained"] for one in read] == [[1]] * 5


def test_the_command_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.jsonl"
    main([str(path), "--tasks", "counts", "--count", "3", "--right", "1"])
    assert capsys.readouterr().out == f"{path}\n"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 3
    assert all("between <answer>" in row["messages"][0]["content"] for row in rows)
