"""A rollout that was saved comes back the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rollout_fakes import FakeClient, config_of, hook, studio_of
from slime_hookspecs import (
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

from slime_core.rollout import saved
from slime_core.rollout.contexts import Scene
from slime_core.rollout.rows import sample_to_dict


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
