"""Samples that a filter leaves out of a group that it keeps: what is trained on, and the books."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rollout_fakes import FakeClient, balance, config_of, hook, studio_of
from slime_hookspecs import KEEP, Group, PluginError, Prompt, Rollout, Sample, Verdict

from slime_core.batching import build_shards
from slime_core.rollout import saved
from slime_core.rollout.contexts import Scene
from slime_core.rollout.flights import Flight
from slime_core.rollout.outcomes import Outcome
from slime_core.rollout.rows import flight_from_dict, flight_to_dict
from slime_core.rollout.staleness import age_metrics, unless_stale

SCENE = Scene(step=0, weight_version=1)


async def parity(sample: Sample, ctx: Any) -> float:
    return float(sample.index % 2)


REWARD = hook("slime_reward", parity)


def without(reasons: Mapping[int, str]) -> Any:
    """A filter that leaves out the samples of these indices."""

    def judge(group: Group, ctx: Any) -> Verdict:
        own = {s.index: reasons[s.index] for s in group.scored if s.index in reasons}
        return Verdict(keep=True, rejected=own) if own else KEEP

    return judge


def rejecting(reasons: Mapping[int, str], plugin: str = "task") -> Any:
    return hook("slime_filter", without(reasons), plugin)


async def roll(*hooks: Any, **settings: Any) -> Rollout:
    studio, drawing = studio_of(config_of(**settings), REWARD, *hooks)
    return await studio.roll(SCENE, FakeClient(), drawing)


def trained(rollout: Rollout) -> list[int]:
    return [sample.index for group in rollout.groups for sample in group.trained]


async def test_a_rejected_sample_stays_in_its_group_and_is_not_trained_on() -> None:
    rollout = await roll(rejecting({1: "dull", 4: "long", 6: "long"}))
    assert trained(rollout) == [0, 2, 3, 5, 7]
    assert [len(group.samples) for group in rollout.groups] == [2, 2, 2, 2]
    assert {s.index: s.rejected for g in rollout.groups for s in g.samples if s.rejected} == {
        1: "dull",
        4: "long",
        6: "long",
    }


async def test_rejected_samples_are_counted_by_reason_and_prompts_as_ever() -> None:
    rollout = await roll(rejecting({1: "dull", 4: "long", 6: "long"}))
    counts = {name: n for name, n in rollout.metrics.items() if name.startswith("samples/")}
    assert counts == {
        "samples/trained": 5,
        "samples/rejected/dull": 1,
        "samples/rejected/long": 2,
    }
    assert balance(rollout.metrics) == (4, 4)
    assert rollout.metrics["reward/mean"] == 0.5


async def test_where_nothing_is_rejected_there_is_no_such_metric() -> None:
    rollout = await roll(rejecting({}))
    assert not [name for name in rollout.metrics if name.startswith("samples/")]


async def test_the_others_advantages_count_rejected_samples_in() -> None:
    rollout = await roll(rejecting({0: "wrong"}))
    kept, whole = rollout.groups[0].samples[1], rollout.groups[1].samples[1]
    assert kept.advantage == whole.advantage == 0.5


async def test_the_loss_is_normalised_over_trained_samples_alone() -> None:
    rollout = await roll(rejecting({0: "wrong", 1: "wrong", 2: "wrong"}), samples_per_prompt=4)
    samples = [sample for group in rollout.groups for sample in group.trained]
    (shard,) = build_shards(
        samples, dp=1, updates=1, micro_batch_tokens=10**6, aggregation="token-mean"
    )
    ((micro,),) = shard.updates
    assert 0 not in micro.columns["sample_indices"]
    assert micro.columns["loss_mask"].sum() == 2 * 13
    assert micro.columns["loss_weights"].max() == pytest.approx(1 / 26)


async def test_a_group_of_which_nothing_is_left_is_dropped_and_replaced() -> None:
    rollout = await roll(rejecting({0: "dull", 1: "dull", 3: "long"}))
    assert [group.prompt.id for group in rollout.groups] == ["p1", "p2", "p3", "p4"]
    assert rollout.metrics["prompts/filtered/dull"] == 1
    assert rollout.metrics["samples/trained"] == 7
    assert rollout.metrics["samples/rejected/long"] == 1
    assert "samples/rejected/dull" not in rollout.metrics
    assert balance(rollout.metrics) == (5, 5)


async def test_filters_reject_together_and_the_first_reason_stands() -> None:
    two = rejecting({0: "dull"}, "one"), rejecting({0: "long", 3: "long"}, "two")
    rollout = await roll(*two)
    assert trained(rollout) == [1, 2, 4, 5, 6, 7]
    assert rollout.metrics["samples/rejected/dull"] == 1
    assert rollout.metrics["samples/rejected/long"] == 1
    both = rejecting({0: "dull"}, "one"), rejecting({1: "long"}, "two")
    assert (await roll(*both)).metrics["prompts/filtered/dull"] == 1


async def test_a_filter_that_drops_the_group_has_the_last_word() -> None:
    def drop(group: Group, ctx: Any) -> Verdict:
        return Verdict(False, "easy") if group.index == 0 else KEEP

    rollout = await roll(rejecting({0: "dull"}, "one"), hook("slime_filter", drop, "two"))
    assert rollout.metrics["prompts/filtered/easy"] == 1
    assert "samples/rejected/dull" not in rollout.metrics


async def test_observers_of_groups_are_told_what_was_rejected() -> None:
    told: list[tuple[dict[int, str], list[str]]] = []

    async def watch(group: Group, verdict: Verdict, ctx: Any) -> None:
        told.append((dict(verdict.rejected), [sample.rejected for sample in group.samples]))

    await roll(rejecting({3: "dull"}), hook("slime_on_group", watch))
    assert ({3: "dull"}, ["", "dull"]) in told
    assert told.count(({}, ["", ""])) == 3


@pytest.mark.parametrize("checks", [0, 16])
async def test_a_filter_that_rejects_a_stranger_stops_the_run(checks: int) -> None:
    def judge(group: Group, ctx: Any) -> Verdict:
        return Verdict(keep=True, rejected={77: "dull"})

    found = r"plugin task.*slime_filter, group \d.*rejects \[77\].*indices \[\d, \d\]"
    with pytest.raises(PluginError, match=found):
        await roll(hook("slime_filter", judge), check_plugins=checks)


async def test_a_reason_that_is_no_word_stops_the_run_while_calls_are_checked() -> None:
    with pytest.raises(PluginError, match=re.escape("the reason is 'Too dull!'; use a word like")):
        await roll(rejecting({0: "Too dull!"}))
    rollout = await roll(rejecting({0: ""}, "nameless"), check_plugins=0)
    assert rollout.metrics["samples/rejected/nameless"] == 1


async def test_a_saved_rollout_remembers_what_was_rejected(tmp_path: Path) -> None:
    rollout = await roll(rejecting({1: "dull", 4: "long"}))
    path = saved.save(tmp_path, rollout, form="jsonl")
    assert trained(saved.load(tmp_path, 0)) == trained(rollout)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        del row["rejected"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert trained(saved.load(tmp_path, 0)) == list(range(8))


async def test_a_group_that_waits_in_a_checkpoint_remembers_it_too() -> None:
    rollout = await roll(rejecting({1: "dull"}))
    row = json.loads(json.dumps(flight_to_dict(Flight.landed(rollout.groups[0]))))
    again = flight_from_dict(row)
    assert again.outcome is not None
    assert [sample.rejected for sample in again.outcome.group.samples] == ["", "dull"]


def test_ages_are_those_of_trained_tokens() -> None:
    old, young = Sample(0, 0, Prompt("p", [])), Sample(1, 0, Prompt("p", []))
    for sample, version in ((old, 1), (young, 4)):
        sample.trace.append_prompt([1])
        sample.trace.append_sampled([5, 5], [-0.5, -0.5], version)
        sample.reward = 1.0
    group = Group(0, old.prompt, [old, young])
    assert unless_stale(Outcome(group, "kept"), 4).fate == "kept"
    young.rejected = "dull"
    assert unless_stale(Outcome(group, "kept"), 4).reason == "stale"
    assert age_metrics([group], 4) == {
        "staleness/mean": 3.0,
        "staleness/max": 3.0,
        "staleness/tokens/3": 2.0,
    }
