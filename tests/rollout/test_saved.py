"""A rollout that was saved comes back the same."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from rollout_fakes import FakeClient, config_of, hook, studio_of
from slime_hookspecs import (
    ConfigError,
    DataError,
    Group,
    Prompt,
    Reward,
    Rollout,
    Sample,
    SampleError,
    StopReason,
    Trace,
)

from slime_core.rollout import files, saved
from slime_core.rollout.contexts import Scene
from slime_core.rollout.outcomes import Outcome
from slime_core.rollout.rows import sample_to_dict
from slime_core.rollout.times import Times


async def reward(sample: Sample, ctx: Any) -> Reward:
    if sample.index == 1:
        raise ValueError("no")
    return Reward(0.1 + 0.2, {"format": 1.0})


async def count_turns(call_next: Any, sample: Sample, engine: Any, ctx: Any) -> Any:
    sample.metadata["turns"] = 2
    return await call_next(sample, engine)


def rows(rollout: Rollout) -> list[dict[str, Any]]:
    return [sample_to_dict(s) for group in rollout.groups for s in group.samples]


async def test_a_rollout_comes_back_the_same(tmp_path: Path) -> None:
    studio, drawing = studio_of(
        config_of(), hook("slime_reward", reward), hook("slime_wrap_generate", count_turns)
    )
    rollout = await studio.roll(Scene(12, 5), FakeClient(), drawing)
    path = saved.save(tmp_path / "rollouts", rollout)
    assert path.name == "step_000012.jsonl.zst"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    back = saved.load(path.parent, 12)
    assert rows(back) == rows(rollout)
    assert (back.step, back.weight_version) == (12, 5)
    assert [len(group.samples) for group in back.groups] == [2, 2, 2, 2]
    assert back.groups[0].samples[1].error == SampleError(
        "task", "slime_reward", "ValueError", "no"
    )


def test_arrays_and_infinite_log_probs_survive(tmp_path: Path) -> None:
    trace = Trace()
    trace.append_sampled([1, 2], [-math.inf, -0.25], 3)
    sample = Sample(4, 2, Prompt("p", [], label={"a": [1]}), trace, StopReason.LENGTH)
    sample.fields["teacher"] = np.array([[1.5, 2.5]], dtype=np.float32)
    saved.save(tmp_path, Rollout(0, [Group(2, sample.prompt, [sample])], 3))
    (back,) = saved.load(tmp_path, 0).groups[0].samples
    assert back.trace == trace
    assert back.fields == {"teacher": [[1.5, 2.5]]}
    assert back.prompt == sample.prompt


def test_a_missing_step_says_what_is_there(tmp_path: Path) -> None:
    saved.save(tmp_path, Rollout(3, [], 1))
    with pytest.raises(DataError, match=r"no rollout of step 4.*step_000003.jsonl"):
        saved.load(tmp_path, 4)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    saved.path_of(tmp_path, 0, "jsonl").write_text('{"index": 1}\n')
    with pytest.raises(DataError, match=r"step_000000.jsonl, line 1: not a saved sample"):
        saved.load(tmp_path, 0)


def sample_of(index: int, group: int, logprobs: list[float]) -> Sample:
    trace = Trace()
    trace.append_prompt([7])
    trace.append_sampled(list(range(len(logprobs))), logprobs, 3)
    return Sample(index, group, Prompt(f"p{group}", []), trace, StopReason.STOP, reward=1.0)


def rollout_of(*samples: Sample, step: int = 0) -> Rollout:
    return Rollout(step, [Group(s.group_index, s.prompt, [s]) for s in samples], 3)


FLOAT32 = [float(np.float32(x)) for x in (-1e-9, -0.1, -math.pi, -87.3365, -math.inf, 0.0)]


@pytest.mark.parametrize("form", get_args(files.Format))
@pytest.mark.parametrize("logprobs", [FLOAT32, [-0.1, -0.25], [-1e300, -1e-300]])
def test_log_probs_come_back_to_the_last_bit(
    tmp_path: Path, form: files.Format, logprobs: list[float]
) -> None:
    rollout = rollout_of(sample_of(0, 0, logprobs))
    saved.save(tmp_path, rollout, form)
    assert rows(saved.load(tmp_path, 0)) == rows(rollout)


def test_log_probs_of_servers_take_half_the_digits(tmp_path: Path) -> None:
    values = [float(x) for x in -np.random.default_rng(0).random(1000, np.float32)]
    single = saved.save(tmp_path, rollout_of(sample_of(0, 0, values)), "jsonl").stat().st_size
    double = [value - 1e-12 for value in values]
    whole = saved.save(tmp_path, rollout_of(sample_of(0, 0, double)), "jsonl").stat().st_size
    assert single < 0.75 * whole


def test_compressed_rollouts_are_smaller(tmp_path: Path) -> None:
    rollout = rollout_of(*(sample_of(i, i, FLOAT32) for i in range(64)))
    plain = saved.save(tmp_path / "a", rollout, "jsonl").stat().st_size
    assert saved.save(tmp_path / "b", rollout).stat().st_size < plain / 4


def test_times_and_lengths_stand_in_each_row(tmp_path: Path) -> None:
    times = {4: Times(queue_s=0.5, generate_s=2.0, reward_s=0.25, began=100.0)}
    path = saved.save(
        tmp_path, rollout_of(sample_of(4, 0, [-1.0]), sample_of(5, 1, [])), times=times
    )
    first, second = (json.loads(line) for line in files.lines(path))
    assert first["times"] == {"began": 100.0, "queue_s": 0.5, "generate_s": 2.0, "reward_s": 0.25}
    assert first["lengths"] == {"prompt": 1, "sampled": 1}
    assert "times" not in second


def test_what_failed_is_kept_to_be_seen_and_is_not_trained_on(tmp_path: Path) -> None:
    lost = sample_of(9, 2, [-1.0])
    lost.error = SampleError("task", "slime_reward", "ValueError", "no")
    rollout = rollout_of(sample_of(0, 0, [-1.0]))
    outcome = Outcome(Group(2, lost.prompt, [lost]), "failed", "slime_reward")
    path = saved.save(tmp_path, rollout, lost=[outcome])
    fates = [json.loads(line)["fate"] for line in files.lines(path)]
    assert fates == ["trained", "failed/slime_reward"]
    assert rows(saved.load(tmp_path, 0)) == rows(rollout)


def test_a_step_that_is_made_again_in_another_form_replaces_the_first(tmp_path: Path) -> None:
    saved.save(tmp_path, rollout_of(sample_of(0, 0, [-1.0])), "jsonl")
    saved.save(tmp_path, rollout_of(sample_of(1, 0, [-2.0])), "jsonl.zst")
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000.jsonl.zst"]
    saved.save(tmp_path, rollout_of(sample_of(2, 0, [-3.0])), "jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000.jsonl"]


@pytest.mark.parametrize("form", get_args(files.Format))
@pytest.mark.parametrize("part", [0.0, 0.3, 0.7, 0.99])
def test_a_file_that_was_cut_off_is_never_trained_on_as_if_it_were_whole(
    tmp_path: Path, form: files.Format, part: float
) -> None:
    samples = [sample_of(i, i, FLOAT32) for i in range(40)]
    path = saved.save(tmp_path, rollout_of(*samples), form)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    if form == "jsonl" and part == 0.0:  # the file of a step without samples
        assert saved.load(tmp_path, 0).groups == []
        return
    with pytest.raises(DataError, match=r"step_000000.*cut off"):
        saved.load(tmp_path, 0)


def test_a_compressed_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = saved.save(tmp_path, rollout_of(*(sample_of(i, i, FLOAT32) for i in range(40))))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"step_000000\.jsonl\.zst.*damaged"):
        saved.load(tmp_path, 0)


def test_joined_files_are_read_to_the_end(tmp_path: Path) -> None:
    one, two = (
        saved.save(tmp_path / name, rollout_of(sample_of(i, i, [-1.0])))
        for i, name in enumerate("ab")
    )
    one.write_bytes(one.read_bytes() + two.read_bytes())
    assert [group.index for group in saved.load(tmp_path / "a", 0).groups] == [0, 1]


def test_the_files_of_a_folder_are_found_by_step(tmp_path: Path) -> None:
    for name in (
        *("step_000002.jsonl", "step_000010.jsonl.zst", "step_000010.jsonl.tmp"),
        *("step_000011.jsonl.zst.tmp", "notes.txt", "step_1.jsonl", "step_1000000.jsonl"),
    ):
        (tmp_path / name).touch()
    names = {step: path.name for step, path in files.found(tmp_path).items()}
    assert names == {
        2: "step_000002.jsonl",
        10: "step_000010.jsonl.zst",
        1000000: "step_1000000.jsonl",
    }
    killed = files.found(tmp_path, unfinished=True)
    assert killed[11].name == "step_000011.jsonl.zst.tmp"
    assert killed[10].name == "step_000010.jsonl.zst"
    assert files.found(tmp_path / "gone") == {}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    saved.save(tmp_path, rollout_of(sample_of(0, 0, [-1.0])))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ConfigError, match="pip install zstandard"):
        saved.load(tmp_path, 0)
    with pytest.raises(ConfigError, match=r"--rollout-save-format jsonl\.zst"):
        files.get_ready("jsonl.zst")
    files.get_ready("jsonl")
