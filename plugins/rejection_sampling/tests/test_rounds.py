"""Sampling and training in turns: which commands are run, on what, and what stops them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import ConfigError, DataError
from slime_plugin_rejection_sampling import cli, rounds
from slime_plugin_rejection_sampling.rounds import Plan

#: Stands in for ``slime``: writes down its arguments, and leaves what such a run leaves.
STAND_IN = """
import json, pathlib, sys
words = sys.argv[1:]
run = pathlib.Path(words[words.index("--run-dir") + 1])
(run / "plugins" / "rejection_sampling").mkdir(parents=True)
if "--fail" in words:
    sys.exit(3)
if "rejection_sampling" in words:
    rows = [{"messages": [{"role": "user", "content": str(i % 3)}], "step": i} for i in range(5)]
    text = "".join(json.dumps(row) + "\\n" for row in rows if "--nothing" not in words)
    (run / "plugins" / "rejection_sampling" / "accepted.jsonl").write_text(text)
(run / "words.json").write_text(json.dumps(words))
(run / "summary.json").write_text(json.dumps({"status": "success", "hf": str(run / "hf")}))
"""

Call = Callable[..., int]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs the command with the stand-in for ``slime``; its exit status."""
    monkeypatch.setattr(rounds, "SLIME", (sys.executable, "-c", STAND_IN))

    def run(
        *own: str, sampling: Sequence[str] = ("--plugin", "t"), training: Sequence[str] = ()
    ) -> int:
        where = ["--out", str(tmp_path / "out"), "--model", str(tmp_path / "model")]
        return cli.main([*where, *own, "--", *sampling, "--", *training])

    return run


def words(run: Path) -> list[str]:
    found: list[str] = json.loads((run / "words.json").read_text())
    return found


def value(run: Path, option: str) -> str:
    found = words(run)
    return found[found.index(option) + 1]


def test_a_round_samples_and_then_trains_on_each_conversation_once(
    call: Call, tmp_path: Path
) -> None:
    assert call("--epochs", "2", "--batch", "2", training=["--megatron-lr", "1e-5"]) == 0
    folder = tmp_path / "out" / "round_1"
    assert words(folder / "sample")[-2:] == ["--plugin", "t"]
    assert "--debug-rollout-only" in words(folder / "sample")
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    assert [row["messages"][0]["content"] for row in rows] == ["0", "1", "2"]
    train = folder / "train"
    assert value(train, "--sft.data") == str(folder / "train.jsonl")
    assert (value(train, "--rollout-prompts-per-step"), value(train, "--steps")) == ("2", "3")
    assert words(train)[-2:] == ["--megatron-lr", "1e-5"]


@pytest.mark.parametrize("start", ["first", "last"])
def test_each_round_samples_from_the_last_model_and_trains_the_one_that_was_asked_for(
    call: Call, tmp_path: Path, start: str
) -> None:
    assert call("--rounds", "2", "--start", start, "--seed", "7") == 0
    out, model = tmp_path / "out", str(tmp_path / "model")
    first = str(out / "round_1" / "train" / "hf")
    assert value(out / "round_1" / "train", "--model") == model
    assert value(out / "round_2" / "sample", "--model") == first
    assert value(out / "round_2" / "train", "--model") == (model if start == "first" else first)
    assert [value(out / f"round_{n}" / "sample", "--seed") for n in (1, 2)] == ["7", "8"]


def test_stages_that_are_done_are_not_done_again(call: Call, tmp_path: Path) -> None:
    assert call() == 0
    before = (tmp_path / "out" / "round_1" / "sample" / "words.json").stat().st_mtime_ns
    assert call("--rounds", "2") == 0
    assert (tmp_path / "out" / "round_1" / "sample" / "words.json").stat().st_mtime_ns == before
    assert (tmp_path / "out" / "round_2" / "train" / "words.json").is_file()


def test_a_stage_that_fails_ends_the_command_and_is_named(
    call: Call, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(training=["--fail"]) != 0
    assert "round 1, training ended with status 3" in capfd.readouterr().err
    assert call("--rounds", "1", sampling=["--plugin", "t"]) != 0  # its folder is not empty


def test_a_round_that_accepts_nothing_trains_on_nothing(
    call: Call, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(sampling=["--nothing"]) == DataError("").exit_status
    assert "nothing was accepted, so there is nothing to train on" in capfd.readouterr().err
    assert not (tmp_path / "out" / "round_1" / "train").exists()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--out", "o", "--model", "m"], "what is to be sampled? Give a task after --"),
        (["--out", "o", "--", "--plugin", "t"], "--model; --help lists the options"),
        (["--out", "o", "--model", "m", "--rounds", "0", "--", "t"], "--rounds 0: give 1 or more"),
        (["--out", "o", "--model", "m", "--batch", "x", "--", "t"], "invalid int value: 'x'"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: list[str], found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == ConfigError("").exit_status
    assert found in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("a b", (["a", "b"], [], [])),
        ("a -- b c", (["a"], ["b", "c"], [])),
        ("a -- b -- c", (["a"], ["b"], ["c"])),
        ("-- b -- c -- d", ([], ["b"], ["c", "--", "d"])),
    ],
)
def test_two_dashes_part_the_arguments(words: str, parts: Any) -> None:
    assert rounds.split(words.split()) == parts


def test_a_run_that_did_not_succeed_has_no_outcome(tmp_path: Path) -> None:
    assert rounds.outcome(tmp_path) == {}
    (tmp_path / "summary.json").write_text(json.dumps({"status": "error", "hf": "x"}))
    assert rounds.outcome(tmp_path) == {}


def test_the_plan_has_absolute_paths() -> None:
    plan = cli.read(["--out", "o", "--model", "m", "--", "x"])
    assert plan == Plan(Path("o").absolute(), Path("m").absolute(), sampling=("x",))
