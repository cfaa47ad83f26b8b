"""``slime plugins new`` writes a package and says what to do next, or says what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from slime_core.cli.main import main
from slime_core.scaffold import KINDS, files


def new(*line: str) -> int:
    return main(["plugins", "new", *line])


def test_it_writes_the_files_and_shows_the_next_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new("two_words", "--kind", "math", "--directory", str(tmp_path), "--author", "Ann") == 0
    folder = tmp_path / "slime-plugin-two-words"
    expected = files("two_words", "math", "Ann")
    assert {path: (folder / path).read_text("utf-8") for path in expected} == expected
    assert capsys.readouterr().out == (
        f"{folder}: 16 files\n\n"
        f"  cd {folder}\n"
        f"  pip install -e '.[dev]'\n"
        f"  pytest\n"
        f"  slime-conformance two_words\n"
        f"  slime --plugin two_words --model ./model\n\n"
        f"Begin with slime_plugin_two_words/problems.py; README.md says what else to edit, "
        f"and how to publish.\n"
    )


def test_it_writes_here_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert new("two_words", "--kind", "loss") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["slime-plugin-two-words"]
    out = capsys.readouterr().out
    assert "  cd slime-plugin-two-words\n" in out
    assert "--plugin math_dapo --plugin two_words" in out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["two_words"], "slime plugins new: say which kind, with --kind\n  math "),
        (["two_words", "--kind", "maths"], "--kind maths: no such kind; did you mean 'math'?"),
        (["Two-Words", "--kind", "math"], "a name near it that is right: two_words"),
        (["grpo", "--kind", "math"], "grpo (slime-rl "),
        (["math_dapo", "--kind", "math"], "a name near it that is right: math_dapo_task"),
        (["two_words", "--kind", "math", "--author", "<a@b.c>"], "--author '<a@b.c>'"),
        (["two_words", "--kind", "math", "--directory", "none"], "none: there is no such folder"),
        (["--kind", "math"], "the following arguments are required: NAME"),
        (["two_words", "--knd", "math"], "unrecognized arguments: --knd math"),
    ],
)
def test_a_wrong_question_is_refused_and_nothing_is_written(
    line: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert new(*line) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert (said.out, "Traceback" in said.err) == ("", False)
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_before_is_not_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["two_words", "--kind", "math", "--directory", str(tmp_path)]
    assert new(*line) == 0
    file = tmp_path / "slime-plugin-two-words" / "README.md"
    file.write_text("mine")
    assert new(*line) == 2
    assert "slime-plugin-two-words is there already, and there are files" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_help_lists_the_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        new("--help")
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for kind, text in KINDS.items():
        assert f"  {kind:<12} {text}\n" in out
    for option in ("--kind", "--directory", "--author"):
        assert option in out


def test_it_imports_no_engine_and_no_plugin(tmp_path: Path) -> None:
    code = (
        "import json, sys; from slime_core.cli.main import main;"
        f"line = ['plugins', 'new', 'x', '--kind', 'agent', '--directory', {str(tmp_path)!r}];"
        "status = main(line);"
        "heavy = {'torch', 'ray', 'sglang', 'transformers', 'aiohttp', 'slime_plugin_math_dapo'};"
        "print(json.dumps([status, sorted(heavy & set(sys.modules))]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]
