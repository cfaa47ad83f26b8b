"""``slime rollouts``: what a reader is shown of runs that are done, failed, torn or going on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import Group, Prompt, Reward, Rollout, Sample, SampleError, StopReason, Trace

from slime_core.cli.main import main
from slime_core.config.schema import Config
from slime_core.observe.metrics import MetricsWriter
from slime_core.observe.rundir import RunDir
from slime_core.rollout import files, saved
from slime_core.rollout.outcomes import Outcome
from slime_core.rollout.times import Times

FAILURE = SampleError("judge", "slime_reward", "TimeoutError", "no answer in 30 s")


def trace_of(*segments: tuple[str, list[int], int]) -> Trace:
    trace = Trace()
    for kind, tokens, version in segments:
        if kind == "sampled":
            trace.append_sampled(tokens, [-0.5] * len(tokens), version)
        else:
            getattr(trace, f"append_{kind}")(tokens)
    return trace


def sample(index: int, group: int, answer: str, reward: float | None = 1.0, **more: Any) -> Sample:
    trace = trace_of(("prompt", [8, 9], -1), ("sampled", list(map(ord, answer)), 3))
    prompt = Prompt(f"p{group}", [{"role": "user", "content": f"What is {group}?"}], label=group)
    fields = {"trace": trace, "stop": StopReason.STOP, "response": answer, "reward": reward}
    made = Sample(index, group, prompt, **(fields | more))
    made.rewards = {} if reward is None else {"judge": Reward(reward)}
    return made


def rollout(step: int, *samples: Sample) -> Rollout:
    groups: dict[int, Group] = {}
    for one in samples:
        groups.setdefault(one.group_index, Group(one.group_index, one.prompt, []))
        groups[one.group_index].samples.append(one)
    return Rollout(step, list(groups.values()), 3)


SAMPLES = (
    sample(0, 0, "zero", 0.0, advantage=-0.5),
    sample(1, 0, "nought", 1.0),
    sample(2, 1, "one one one one", 0.25, stop=StopReason.LENGTH),
    sample(3, 1, "", None, error=FAILURE, stop=StopReason.FAILED),
)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    config = Config(plugins=["judge"], model=tmp_path / "no-model")
    return RunDir.create(tmp_path / "run", config, "{}")


@pytest.fixture
def full(run: RunDir) -> RunDir:
    """Two steps; in the second a whole group failed."""
    times = {0: Times(queue_s=0.5, generate_s=2.0, reward_s=0.25)}
    saved.save(run.rollouts, rollout(0, *SAMPLES), times=times)
    lost = Group(5, SAMPLES[0].prompt, [sample(9, 5, "", None, error=FAILURE)])
    saved.save(
        run.rollouts,
        rollout(1, sample(6, 3, "three", 0.5), sample(7, 3, "drei", 0.75)),
        "jsonl",
        lost=[Outcome(lost, "failed", "judge")],
    )
    with MetricsWriter(run.metrics_file) as writer:
        writer.append(0, {"staleness/mean": 0.5, "prompts/filtered/zero_variance": 2.0})
        writer.append(1, {"prompts/failed/judge": 1.0, "prompts/filtered/other": 0.0})
    return run


Shown = Callable[..., str]


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Shown:
    """What ``slime rollouts ARGS`` prints."""

    def go(*arguments: Any) -> str:
        assert main(["rollouts", *map(str, arguments)]) == 0
        return capsys.readouterr().out

    return go


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Shown:
    """The error with which ``slime rollouts ARGS`` ends."""

    def go(*arguments: Any) -> str:
        assert main(["rollouts", *map(str, arguments)]) == 2
        found = capsys.readouterr()
        assert found.out == ""
        assert "Traceback" not in found.err
        return found.err

    return go


def indices(shown_text: str) -> list[int]:
    return [int(found) for found in re.findall(r"^step .*sample (\d+)", shown_text, re.M)]


def test_a_line_a_step_says_what_was_made_and_what_was_lost(full: RunDir, shown: Shown) -> None:
    head, first, second = shown(full.path).splitlines()
    assert head.split("  ")[0] == "STEP"
    assert re.split(r"\s{2,}", first) == [
        *("0", "4", "2", "0.4167", "6.25", "15", "1", "0.5"),
        "1 sample: judge slime_reward TimeoutError; 2 groups filtered/zero_variance",
    ]
    assert re.split(r"\s{2,}", second) == [
        *("1", "3", "2", "0.625", "3", "5", "0", "–"),
        "1 sample: judge slime_reward TimeoutError; 1 group failed/judge",
    ]


def test_the_summary_as_json(full: RunDir, shown: Shown) -> None:
    found = json.loads(shown(full.path, "--json"))
    assert found["schema"] == "slime.rollouts.summary/1"
    first = found["steps"][0]
    assert (first["samples"], first["cut_off"], first["length_max"]) == (4, 1, 15)
    assert first["failures"] == {"judge slime_reward TimeoutError": 1}


def test_a_sample_shows_its_facts_and_each_kind_of_tokens_by_name(
    full: RunDir, shown: Shown
) -> None:
    text = shown(full.path, "--sample", 0)
    assert text.splitlines() == [
        "step 0 · group 0 · sample 0 · reward 0 · advantage -0.5 · stop · 4 tokens",
        "  label               0",
        "  times               queue 0.500 s, generate 2.000 s, reward 0.250 s",
        "  prompt           2  What is 0?",
        "  sampled v3       4  zero",
        "",
        "1 sample",
    ]


def test_a_sample_that_failed_says_why_and_is_masked(full: RunDir, shown: Shown) -> None:
    text = shown(full.path, "--failed")
    assert indices(text) == [3, 9]
    assert "error               judge slime_reward TimeoutError: no answer in 30 s" in text
    assert "failed/judge" in text
    partly = sample(8, 4, "wrote", None, error=FAILURE)
    saved.save(full.rollouts, rollout(2, partly))
    assert "  masked v3        5  wrote" in shown(full.path, "--sample", 8)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--step", "0"], [0, 1, 2, 3]),
        (["--step", "0-1"], [0, 1, 2, 3, 6, 7, 9]),
        (["--step", "last"], [6, 7, 9]),
        (["--group", "1"], [2, 3]),
        (["--reward", "<0.5"], [0, 2]),
        (["--reward", ">=0.5"], [1, 6, 7]),
        (["--reward", "1"], [1]),
        (["--reward", "!=1"], [0, 2, 6, 7]),
        (["--reward", "none"], [3, 9]),
        (["--stop", "length"], [2]),
        (["--contains", "NOUGHT"], [1]),
        (["--contains", "what is 3"], [6, 7]),
        (["--contains", "no answer in"], [3, 9]),
        (["--sort", "reward", "--step", "0"], [3, 0, 2, 1]),
        (["--sort", "length", "--reverse", "--limit", "2"], [2, 1]),
        (["--sort", "time", "--reverse", "--limit", "1"], [0]),
        (["--group", "0", "--reward", ">0"], [1]),
        (["--contains", "nowhere"], []),
    ],
)
def test_filters_choose_and_sort_orders(
    full: RunDir, shown: Shown, arguments: list[str], expected: list[int]
) -> None:
    assert indices(shown(full.path, *arguments)) == expected


def test_at_most_ten_are_shown_unless_more_are_asked_for(run: RunDir, shown: Shown) -> None:
    saved.save(run.rollouts, rollout(0, *(sample(i, 0, "x") for i in range(12))))
    text = shown(run.path, "--step", 0)
    assert len(indices(text)) == 10
    assert text.endswith("10 of 12 samples; --limit 12 shows all\n")
    assert len(indices(shown(run.path, "--limit", 12))) == 12


TURNS = (
    ("prompt", list(range(8, 10)), -1),
    ("sampled", [40, 41], 2),
    ("observed", [50, 51, 52], -1),
    ("sampled", [60], 3),
    ("sampled", [61], 3),
)


def test_turns_are_decoded_by_the_runs_tokenizer(
    tmp_path: Path, tiny_model: Callable[[str], Path], shown: Shown
) -> None:
    run = RunDir.create(tmp_path / "run", Config(model=tiny_model("qwen3")), "{}")
    one = sample(0, 0, "last turn", trace=trace_of(*TURNS))
    saved.save(run.rollouts, rollout(0, one))
    lines = [line.split() for line in shown(run.path, "--sample", 0).splitlines()[2:-2]]
    assert [line[:-1] for line in lines] == [
        ["prompt", "2"],
        ["stale", "v2", "2"],
        ["observed", "3"],
        ["sampled", "v3", "2"],
    ]
    assert all(line[-1] for line in lines)
    tokens = shown(run.path, "--sample", 0, "--tokens").splitlines()[2:-2]
    ids = [int(line.split()[1]) for line in tokens]
    assert ids == [token for _, segment, _ in TURNS for token in segment]
    assert [line.split()[2] for line in tokens[2:4]] == ["-0.5000", "-0.5000"]


def test_tokens_of_older_weights_are_masked_where_the_run_masks_them(
    tmp_path: Path, tiny_model: Callable[[str], Path], shown: Shown
) -> None:
    config = Config(model=tiny_model("qwen3"), partial_rollout=True, mask_stale_tokens=True)
    run = RunDir.create(tmp_path / "run", config, "{}")
    saved.save(run.rollouts, rollout(0, sample(0, 0, "x", trace=trace_of(*TURNS))))
    text = shown(run.path, "--sample", 0)
    assert "  masked v2        2  " in text
    assert "  sampled v3       2  " in text


def test_without_the_tokenizer_the_rest_is_still_shown(run: RunDir, shown: Shown) -> None:
    one = sample(0, 0, "last turn", trace=trace_of(*TURNS))
    saved.save(run.rollouts, rollout(0, one))
    text = shown(run.path, "--sample", 0)
    assert "  prompt           2  What is 0?" in text
    assert "  observed         3  (cannot be decoded here)" in text
    tokens = shown(run.path, "--sample", 0, "--tokens")
    assert len(re.findall(r"^ +\d+ +\d+ ", tokens, re.M)) == 9


def test_what_a_model_wrote_cannot_move_the_cursor(run: RunDir, shown: Shown) -> None:
    saved.save(run.rollouts, rollout(0, sample(0, 0, "a\x1b[2Jb\x9b1m\r\nc [bold]d[/bold]")))
    text = shown(run.path, "--sample", 0)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert r"a\x1b[2Jb\x9b1m\r" in text
    assert "c [bold]d[/bold]" in text


def test_long_texts_are_cut_in_the_middle_unless_whole_ones_are_asked_for(
    run: RunDir, shown: Shown
) -> None:
    saved.save(run.rollouts, rollout(0, sample(0, 0, "x" * 9000 + "END")))
    assert "5003 characters left out; --full" in shown(run.path, "--sample", 0)
    whole = shown(run.path, "--sample", 0, "--full")
    assert "x" * 9000 + "END" in whole


def test_colours_are_for_terminals_that_want_them(
    full: RunDir, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in shown(full.path, "--sample", 0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[32m" in shown(full.path, "--sample", 0)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in shown(full.path, "--sample", 0)


def test_samples_as_json(full: RunDir, shown: Shown) -> None:
    found = json.loads(shown(full.path, "--group", 0, "--limit", 1, "--json"))
    assert found["schema"] == "slime.rollouts.samples/1"
    (one,) = found["samples"]
    assert (one["index"], one["response"], one["times"]["queue_s"]) == (0, "zero", 0.5)


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.zst"])
def test_exported_lines_are_those_that_were_saved(
    full: RunDir, shown: Shown, tmp_path: Path, name: str
) -> None:
    text = shown(full.path, "--reward", "<0.5", "--export", tmp_path / name)
    assert text == f"2 samples in {tmp_path / name}\n"
    rows = [json.loads(line) for line in files.lines(tmp_path / name)]
    assert [row["index"] for row in rows] == [0, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "run"]


def test_an_exported_table_has_tokens_and_masks_side_by_side(
    full: RunDir, shown: Shown, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    shown(full.path, "--export", tmp_path / "out.parquet")
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["sample"] for row in rows] == [0, 1, 2, 3, 6, 7, 9]
    assert rows[0]["loss_mask"] == [0, 0, 1, 1, 1, 1]
    assert rows[0]["logprobs"] == [0.0, 0.0, -0.5, -0.5, -0.5, -0.5]
    assert rows[0]["weight_versions"] == [-1, -1, 3, 3, 3, 3]
    assert json.loads(rows[3]["error"])["type"] == "TimeoutError"


def test_a_table_needs_its_package(
    full: RunDir, refused: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert "pip install pyarrow" in refused(full.path, "--export", tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("name", "why"),
    [("out.csv", "must end in .jsonl"), ("run", "must end"), ("no/out.jsonl", "no folder")],
)
def test_an_export_says_what_is_wrong_with_its_name(
    full: RunDir, refused: Shown, tmp_path: Path, name: str, why: str
) -> None:
    assert why in refused(full.path, "--export", tmp_path / name)


def test_an_export_replaces_nothing(full: RunDir, refused: Shown, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("mine")
    assert "is there already" in refused(full.path, "--export", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == "mine"


@pytest.fixture
def other(tmp_path: Path) -> RunDir:
    """The same prompts, answered otherwise."""
    run = RunDir.create(tmp_path / "other", Config(), "{}")
    answers = (
        sample(0, 0, "it is zero", 1.0),
        sample(1, 0, "nought", 1.0),
        sample(2, 1, "one one", 0.0),
        sample(8, 4, "new", 1.0),
    )
    saved.save(run.rollouts, rollout(0, *answers))
    return run


def test_two_runs_are_compared_sample_by_sample(full: RunDir, other: RunDir, shown: Shown) -> None:
    lines = shown(full.path, "--diff", other.path, "--step", 0).splitlines()
    assert lines[0] == ("3 pairs: 1 better, 1 worse; mean reward 0.4167 to 0.6667; 1 say the same")
    assert lines[1] == "without a counterpart: 1 of the first, 1 of the second"
    assert lines[3] == "step 0 · group 0, sample 0 · reward 0 to 1 (+1)"
    assert lines[5].endswith("[+it is+] zero")
    assert lines[7] == "step 0 · group 1, sample 2 · reward 0.25 to 0 (-0.25)"
    assert len(lines) == 10


def test_two_steps_are_compared_by_prompt(full: RunDir, shown: Shown, refused: Shown) -> None:
    later = sample(90, 40, "nil", 1.0)
    later.prompt = SAMPLES[0].prompt
    saved.save(full.rollouts, rollout(7, later))
    lines = shown(full.path, "--diff-step", 0, 7).splitlines()
    assert lines[0].startswith("1 pairs: 1 better, 0 worse; mean reward 0 to 1")
    assert lines[3].startswith("step 0 and 7 · group 0, sample 0 and 90 · reward 0 to 1")
    assert lines[5].endswith("[-zero-][+nil+]")
    assert "share no prompt" in refused(full.path, "--diff-step", 1, 7)


def test_a_comparison_as_json(full: RunDir, other: RunDir, shown: Shown) -> None:
    found = json.loads(shown(full.path, "--diff", other.path, "--json"))
    assert found["schema"] == "slime.rollouts.diff/1"
    assert (found["pairs"], found["better"], found["worse"]) == (3, 1, 1)
    assert (found["only_before"], found["only_after"]) == (4, 1)


def test_runs_of_other_data_share_nothing(full: RunDir, tmp_path: Path, refused: Shown) -> None:
    apart = RunDir.create(tmp_path / "apart", Config(), "{}")
    one = sample(0, 0, "x")
    one.prompt = Prompt("else", [])
    saved.save(apart.rollouts, rollout(0, one))
    assert "share no sample" in refused(full.path, "--diff", apart.path)
    assert "exclude each other" in refused(full.path, "--diff", apart.path, "--diff-step", "0", "1")


def cut(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: math.floor(len(content) * keep)])


def test_a_torn_file_is_read_as_far_as_it_goes_and_said_to_be_torn(
    full: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(full.rollouts / "step_000001.jsonl", 0.5)
    assert main(["rollouts", str(full.path), "--step", "1"]) == 0
    found = capsys.readouterr()
    assert indices(found.out) == [6]
    assert "step_000001.jsonl: ends after 1 whole samples" in found.err


def test_a_damaged_compressed_file_is_said_to_be_damaged(
    full: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    path = full.rollouts / "step_000000.jsonl.zst"
    path.write_bytes(path.read_bytes()[:40] + b"\xff" * 40)
    assert main(["rollouts", str(full.path)]) == 0
    found = capsys.readouterr()
    assert "step_000000.jsonl.zst: ends after" in found.err
    assert found.out.splitlines()[-1].startswith("1 ")


def test_what_a_killed_run_was_writing_is_shown(
    full: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = full.rollouts / "step_000001.jsonl"
    whole.rename(whole.with_name(whole.name + ".tmp"))
    assert main(["rollouts", str(full.path), "--step", "1"]) == 0
    found = capsys.readouterr()
    assert indices(found.out) == [6, 7, 9]
    assert "was not finished" in found.err


def test_a_folder_of_rollouts_is_enough(full: RunDir, shown: Shown, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    full.rollouts.rename(alone)
    assert indices(shown(alone, "--sample", 2)) == [2]


def test_rollouts_of_before_are_read(run: RunDir, shown: Shown) -> None:
    """Rows without lengths, times and fate."""
    row = {
        "format": 1,
        "step": 0,
        "weight_version": 3,
        **{"index": 4, "group_index": 2, "response": "old", "stop": "stop", "reward": 1.0},
        "prompt": {"id": "p", "messages": [{"role": "user", "content": "?"}], "label": None},
        **{"rewards": {}, "advantage": None, "error": None, "metadata": {}, "provenance": {}},
        "fields": {},
        "trace": trace_of(("prompt", [1], -1), ("sampled", [2, 3], 3)).to_list(),
    }
    (run.rollouts / "step_000000.jsonl").write_text(json.dumps(row) + "\n")
    assert "sampled v3       2  old" in shown(run.path, "--sample", 4)
    assert shown(run.path).splitlines()[1].split()[:5] == ["0", "1", "1", "1", "2"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--step", "4"], "--step 4: was not saved; there are steps 0 to 1"),
        (["--step", "x"], "--step x: must be a step as 3, steps as 3-5, or last"),
        (["--reward", "<x"], "--reward <x: must be a number"),
        (["--reward", "<"], "quote it"),
        (["--stop", "never"], "must be one of stop, length"),
        (["--sort", "beauty"], "choose from"),
        (["--reverse"], "add that"),
        (["--diff-step", "0", "9"], "--step 9: was not saved"),
        (["--limit", "x"], "invalid int"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_wrong_question_is_answered_with_what_would_be_right(
    full: RunDir, refused: Shown, arguments: list[str], why: str
) -> None:
    assert why in refused(full.path, *arguments)


def test_a_run_that_is_not_there(tmp_path: Path, refused: Shown) -> None:
    assert "no such run directory" in refused(tmp_path / "gone")
    assert "neither a run directory nor" in refused(tmp_path)


def test_a_run_without_rollouts_says_why(run: RunDir, refused: Shown) -> None:
    assert "no step has been saved yet (--rollout-save" in refused(run.path)
    run.write_summary({"error": "EngineError: server 0 died\nmore"})
    assert "it ended with EngineError: server 0 died" in refused(run.path)
    run.config_file.write_text(json.dumps({"rollout": {"save": False}}))
    assert "started with --no-rollout-save" in refused(run.path)


def test_a_broken_metrics_file_costs_no_summary(
    full: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    full.metrics_file.write_text("no\nrow\n")
    assert main(["rollouts", str(full.path)]) == 0
    found = capsys.readouterr()
    assert len(found.out.splitlines()) == 3
    assert "not a row of metrics" in found.err


def test_the_help_names_every_option(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rollouts", "--help"])
    assert ended.value.code == 0
    assert set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.M)) == {
        *("--step", "--sample", "--group", "--reward", "--failed", "--stop", "--contains"),
        *("--sort", "--reverse", "--limit", "--tokens", "--full", "--json", "--export"),
        *("--diff", "--diff-step"),
    }
