"""The commands: what they write, what they say, and their exit statuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from search_r1_support import write_rows
from slime_plugin_search_r1 import cli
from slime_plugin_search_r1.cli import main
from slime_plugin_search_r1.conformance import FACTS
from slime_plugin_search_r1.index import load


def run(*arguments: object) -> int:
    return main([str(one) for one in arguments])


def test_a_corpus_is_indexed_and_the_next_command_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "deep" / "index"
    assert run("index", FACTS, "--output", output) == 0
    assert len(load(output)) == 36
    first, second = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"slime-search-r1: indexed 36 passages in \d+\.\d s", first)
    assert second == f"slime-search-r1: serve them with: slime-search-r1 serve --index {output}"


def test_bad_lines_are_named_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path / "c.jsonl", {"text": "gold"}, b"?", {"id": 1})
    assert run("index", path, "--output", tmp_path / "index") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"slime-search-r1: {path}:2: not a line of JSON")
    assert lines[1] == f"slime-search-r1: {path}:3: neither contents nor text among 'id'"
    assert lines[2].endswith(", 2 bad lines left out")


@pytest.mark.parametrize(
    ("rows", "arguments", "told"),
    [
        ((b"?",) * 101, (), "101 of 101 lines are bad, and 100 are allowed"),
        (
            (b"?", {"text": "x"}),
            ("--max-bad-lines", "0"),
            "1 of 1 lines are bad, and 0 are allowed",
        ),
        ((b"?",), (), "the file has no passages"),
        ((), (), "the file has no passages"),
        (({"text": "?"},), (), "no passage has a word in it"),
    ],
)
def test_where_nothing_is_usable_the_status_is_2_and_nothing_is_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rows: tuple[object, ...],
    arguments: tuple[str, ...],
    told: str,
) -> None:
    path = write_rows(tmp_path / "c.jsonl", *rows)
    assert run("index", path, "--output", tmp_path / "index", *arguments) == 2
    assert capsys.readouterr().err.startswith(f"slime-search-r1: error: {path}: {told}")
    assert [one.name for one in tmp_path.iterdir()] == ["c.jsonl"]


def test_a_corpus_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("index", tmp_path / "none.jsonl", "--output", tmp_path / "index") == 2
    assert "none.jsonl: no such file" in capsys.readouterr().err


def test_an_index_is_replaced_and_a_folder_of_other_things_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = write_rows(tmp_path / "c.jsonl", {"text": "gold"})
    output = tmp_path / "index"
    output.mkdir()
    assert run("index", small, "--output", output) == 0
    assert run("index", FACTS, "--output", output) == 0
    assert len(load(output)) == 36
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert run("index", small, "--output", tmp_path / "mine") == 2
    assert run("index", small, "--output", small) == 2
    assert capsys.readouterr().err.count("is there already and is no index; name another") == 2
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_folder_that_cannot_be_written_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = write_rows(tmp_path / "c.jsonl", {"text": "gold"})
    assert run("index", small, "--output", small / "index") == 2
    assert "slime-search-r1: error: [Errno" in capsys.readouterr().err


def test_serving_a_folder_without_an_index_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("serve", "--index", tmp_path) == 2
    assert "no index here; make one with: slime-search-r1 index" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "required: COMMAND"),
        (("serve",), "required: --index"),
        (("serve", "--index", "x", "--port", "http"), "'http' is no whole number from 0 to 65535"),
        (("serve", "--index", "x", "--port", "65536"), "'65536' is no whole number from 0"),
        (("index", "x"), "required: --output"),
        (("index", "x", "--output", "y", "--max-bad-lines", "-1"), "'-1' is no whole number"),
        (("indx", "x"), "invalid choice: 'indx'"),
    ],
)
def test_a_command_that_is_not_understood_has_status_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        run(*arguments)
    assert raised.value.code == 2
    assert told in capsys.readouterr().err


def test_progress_comes_now_and_then_with_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(cli.time, "monotonic", lambda: now[0])
    told = cli._Told("reading")
    for step in range(1, 11):
        told(step * 10, 100)
        now[0] += 1.0
    assert capsys.readouterr().err.splitlines() == [
        "slime-search-r1: reading: 30 %, 5 s left",
        "slime-search-r1: reading: 50 %, 4 s left",
        "slime-search-r1: reading: 70 %, 3 s left",
        "slime-search-r1: reading: 90 %, 1 s left",
    ]


def test_on_a_terminal_progress_is_one_line_that_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(cli.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    told = cli._Told("scoring")
    for done in (1, 50, 90):
        told(done, 100)
        now[0] += 3.0
    written = capsys.readouterr().err
    assert written.count("\r") == 4
    assert "\n" not in written
    assert "scoring: 90 %" in written


def test_the_task_is_written_and_its_files_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("task", "--output", tmp_path / "t", "--facts", 50, "--conversations", 7) == 0
    names = ["corpus", "train", "held_out", "conversations"]
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert told == [[name, str(tmp_path / "t" / f"{name}.jsonl")] for name in names]
    lines = (tmp_path / "t" / "conversations.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 7


def test_a_task_of_too_few_facts_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("task", "--output", tmp_path, "--facts", 3) == 2
    assert "3 facts; there must be from 10 to" in capsys.readouterr().err


def test_the_command_is_installed_and_asking_for_help_imports_nothing_slow() -> None:
    command = Path(sys.executable).with_name("slime-search-r1")
    found = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    assert "index a corpus into a folder" in found.stdout
    code = (
        "import sys, slime_plugin_search_r1.cli;"
        "sys.exit(bool({'numpy', 'aiohttp', 'bm25s', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
