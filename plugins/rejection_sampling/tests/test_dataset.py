"""The file of accepted answers: its rows, and that no step is in it twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import DataError, Prompt
from slime_hookspecs.testing.kit import make_sample
from slime_plugin_rejection_sampling import dataset
from slime_plugin_rejection_sampling.recording import NOTES
from slime_plugin_sft import Options as SftOptions
from slime_plugin_sft.conversations import read_conversations

ASK = {"role": "user", "content": "1+1="}


def rows(step: int, *texts: str) -> list[dict[str, Any]]:
    say = [{"role": "assistant", "content": text} for text in texts]
    return [{"messages": [ASK, one], "step": step} for one in say]


def told(path: Path) -> list[tuple[int, str]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [(row["step"], row["messages"][-1]["content"]) for row in found]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "plugins" / "rejection_sampling" / "accepted.jsonl"


def test_a_row_is_what_sft_reads(path: Path) -> None:
    shots = [ASK, {"role": "assistant", "content": "2"}, {"role": "user", "content": "2+2="}]
    prompt = Prompt("p", shots, tools=[{"name": "add"}])
    sample = make_sample(prompt, response="vier: 4 ✓", reward=1.0)
    row = dataset.row(sample, 3)
    assert row is not None
    assert (row["step"], row["prompt_id"], row["reward"]) == (3, "p", 1.0)
    dataset.append(path, 3, [row])
    (read,) = read_conversations(path, SftOptions())
    assert read.messages == [*shots, {"role": "assistant", "content": "vier: 4 ✓"}]
    assert read.metadata["trained"] == [3]
    assert read.tools == [{"name": "add"}]


def test_what_an_episode_noted_is_written_in_the_place_of_the_prompt() -> None:
    sample = make_sample(response="b", reward=1.0)
    said = [ASK, {"role": "assistant", "content": "b"}]
    sample.metadata[NOTES] = {"messages": said, "tools": None}
    row = dataset.row(sample, 0)
    assert row is not None
    assert row["messages"] == said
    assert "tools" not in row
    sample.metadata[NOTES] = {"messages": None}
    assert dataset.row(sample, 0) is None


def test_steps_follow_each_other(path: Path) -> None:
    dataset.append(path, 0, rows(0, "a", "b"))
    dataset.append(path, 1, [])
    dataset.append(path, 2, rows(2, "c"))
    assert told(path) == [(0, "a"), (0, "b"), (2, "c")]


def test_a_resumed_run_writes_the_steps_that_it_redoes_once(path: Path) -> None:
    for step in range(5):
        dataset.append(path, step, rows(step, f"old {step}", f"old {step} too"))
    dataset.append(path, 2, rows(2, "new 2"))
    dataset.append(path, 3, rows(3, "new 3"))
    assert told(path)[2:] == [(1, "old 1"), (1, "old 1 too"), (2, "new 2"), (3, "new 3")]


def test_a_step_that_accepts_nothing_the_second_time_leaves_nothing(path: Path) -> None:
    dataset.append(path, 0, rows(0, "a"))
    dataset.append(path, 1, rows(1, "b"))
    dataset.append(path, 1, [])
    assert told(path) == [(0, "a")]


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_row_that_was_broken_off_is_cut_away(path: Path, cut: int) -> None:
    dataset.append(path, 0, rows(0, "a"))
    dataset.append(path, 1, rows(1, "b", "c"))
    path.write_bytes(path.read_bytes()[:-cut])
    dataset.append(path, 2, rows(2, "d"))
    assert told(path) == [(0, "a"), (1, "b"), (2, "d")]


def test_rows_longer_than_a_block_are_found(path: Path) -> None:
    long = "x" * (3 * dataset.BLOCK)
    dataset.append(path, 0, rows(0, "a", long))
    dataset.append(path, 1, rows(1, long))
    dataset.append(path, 1, rows(1, "b"))
    assert told(path) == [(0, "a"), (0, long), (1, "b")]


def test_a_file_of_something_else_is_not_touched(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("notes of mine\n")
    with pytest.raises(DataError, match=r"accepted\.jsonl: holds b'notes of mine.*move the file"):
        dataset.append(path, 0, rows(0, "a"))
    assert path.read_text() == "notes of mine\n"


def test_a_place_that_cannot_be_written_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(DataError, match=r"accepted\.jsonl: accepted answers cannot be written"):
        dataset.append(path, 0, rows(0, "a"))
