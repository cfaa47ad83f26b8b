"""The hooks together: what a step trains on, what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from slime_hookspecs import KEEP, ConfigError, DataError, Group, Rollout
from slime_plugin_rejection_sampling import slime_filter, slime_loss, slime_on_rollout


def marked(group: Group, ctx: Any) -> Group:
    """The group as the core has it after the filter."""
    verdict = slime_filter(group, ctx)
    for sample in group.samples:
        sample.rejected = verdict.rejected.get(sample.index, "")
    return group


def test_a_group_is_kept_without_the_answers_that_are_not_accepted(
    group: Any, context: Any
) -> None:
    verdict = slime_filter(group((1.0, "a"), (0.0, "b")), context())
    assert (verdict.keep, verdict.rejected) == (True, {1: "below_threshold"})
    assert slime_filter(group((1.0, "a"), (1.0, "b")), context()) is KEEP


def test_a_group_in_which_nothing_is_accepted_is_dropped_with_a_reason(
    group: Any, context: Any
) -> None:
    verdict = slime_filter(group((0.0, "a"), (0.5, "b")), context())
    assert (verdict.keep, verdict.reason) == (False, "none_accepted")


def test_without_any_reward_there_is_nothing_to_accept_by(group: Any, context: Any) -> None:
    unrewarded = group((0.0, "a"))
    unrewarded.samples[0].rewards = {}
    with pytest.raises(ConfigError, match=r"no reward to accept answers by.*--plugin math_dapo"):
        slime_filter(unrewarded, context())


def test_the_loss_is_the_negative_log_likelihood() -> None:
    torch = pytest.importorskip("torch")
    logprobs = torch.tensor([-1.0, -0.25], requires_grad=True)
    loss = slime_loss(SimpleNamespace(logprobs=logprobs))
    assert loss.per_token.tolist() == [1.0, 0.25]
    loss.per_token.sum().backward()
    assert logprobs.grad.tolist() == [-1.0, -1.0]


async def test_a_step_writes_what_it_trains_on_and_counts_it(
    group: Any, context: Any, tmp_path: Path
) -> None:
    ctx = context()
    kept = marked(group((1.0, "a"), (0.0, "b"), (1.0, "cc")), ctx)
    rollout = Rollout(4, [kept], 5)
    await slime_on_rollout(rollout, ctx)
    file = tmp_path / "plugins" / "rejection_sampling" / "accepted.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["messages"][-1]["content"] for row in rows] == ["a", "cc"]
    assert {row["step"] for row in rows} == {4}
    assert rollout.metrics == {
        "rejection_sampling/accepted": 2.0,
        "rejection_sampling/written": 2.0,
    }


async def test_without_a_dataset_nothing_is_written(
    group: Any, context: Any, tmp_path: Path
) -> None:
    ctx = context(dataset=False)
    rollout = Rollout(0, [marked(group((1.0, "a")), ctx)], 1)
    await slime_on_rollout(rollout, ctx)
    assert rollout.metrics == {"rejection_sampling/accepted": 1.0}
    assert list(tmp_path.iterdir()) == []


async def test_a_dataset_that_cannot_be_written_is_an_error_and_not_counted_as_written(
    group: Any, context: Any, tmp_path: Path
) -> None:
    (tmp_path / "plugins").write_text("a file")
    ctx = context()
    rollout = Rollout(0, [marked(group((1.0, "a")), ctx)], 1)
    with pytest.raises(DataError, match="accepted answers cannot be written"):
        await slime_on_rollout(rollout, ctx)
    assert rollout.metrics == {"rejection_sampling/accepted": 1.0}
