"""Partial rollouts: what is stopped goes on from its tokens, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from rollout_fakes import balance, config_of, hook, studio_of
from slime_hookspecs import (
    Group,
    PluginError,
    Prompt,
    Sample,
)
from writer_fakes import (
    REWARD,
    WRITE,
    Writer,
    expected,
    ids,
    partial,
    samples_of,
    saved,
    write,
)

from slime_core.rollout.contexts import Scene
from slime_core.rollout.flights import Flight
from slime_core.rollout.outcomes import Outcome
from slime_core.rollout.rows import flight_from_dict, flight_to_dict


async def test_a_stopped_group_goes_on_from_its_tokens_with_its_index_and_seed() -> None:
    # Groups 0 and 1 are slow; of group 1 the first sample is done when the step ends.
    def length(index: int) -> int:
        return {0: 30, 1: 30, 2: 3, 3: 40}.get(index, 5)

    studio, drawing = studio_of(partial(over_sample=1.5), WRITE, REWARD)
    first = Writer(length)
    rollout = await studio.roll(Scene(0, 1), first, drawing)
    assert ids(rollout) == ["p2", "p3", "p4", "p5"]
    (zero, one) = (flight_from_dict(row) for row in saved(drawing)["buffer"])
    assert [s.index for s in (*zero.group.samples, *one.group.samples)] == [0, 1, 2, 3]
    left = [place.sample.trace.sampled_length for place in zero.places]
    assert all(0 < n < 30 for n in left)
    assert [place.scored for place in one.places] == [True, False]
    assert rollout.metrics["continued/kept_tokens"] == zero.sampled_length + one.sampled_length
    assert rollout.metrics["rollout/tokens"] == first.written

    second = Writer(length, weight_version=2)
    patient, _ = studio_of(partial(), WRITE, REWARD)
    again = await patient.roll(Scene(1, 2), second, drawing)
    assert ids(again) == ["p0", "p1", "p6", "p7"]
    for sample in samples_of(again)[:4]:
        assert sample.trace.tokens == expected(first, sample)
        assert sample.reward == sample.trace.tokens[-1]
    versions = [set(s.trace.weight_versions) - {-1} for s in samples_of(again)]
    assert versions == [{1, 2}, {1, 2}, {1}, {1, 2}, *[{2}] * 4]
    assert 2 not in second.finished, "a finished sample is not generated again"
    assert second.seeds[0] == first.seeds[0]
    assert again.metrics["continued/samples"] == 3
    assert again.metrics["continued/tokens"] == zero.sampled_length + one.sampled_length
    assert again.metrics["rollout/tokens"] == second.written
    assert again.metrics["staleness/max"] == 1
    assert again.metrics["staleness/tokens/1"] == zero.sampled_length + one.sampled_length
    assert again.metrics["prompts/from_buffer"] == 2


async def test_without_partial_rollout_a_stopped_group_begins_anew() -> None:
    def length(index: int) -> int:
        return 30 if index < 2 else 5

    studio, drawing = studio_of(config_of(over_sample=1.25), WRITE, REWARD)
    rollout = await studio.roll(Scene(0, 1), Writer(length), drawing)
    assert drawing.state()["buffer"] == [
        {"id": "p0", "messages": [{"role": "user", "content": "xxxx"}], "label": 0}
        | {"metadata": {}, "tools": None}
    ]
    assert "continued/samples" not in rollout.metrics
    again = await studio.roll(Scene(1, 2), Writer(length, weight_version=2), drawing)
    assert {v for s in samples_of(again) for v in s.trace.weight_versions} == {-1, 2}


async def test_all_may_have_returned_before_the_servers_answer_that_they_were_told_to_abort() -> (
    None
):
    studio, drawing = studio_of(partial(over_sample=2.0), WRITE, REWARD)
    writer = Writer(lambda index: 30 if index < 8 else 3, abort_turns=100)
    rollout = await studio.roll(Scene(0, 1), writer, drawing)
    assert rollout.metrics["prompts/kept"] == 4


async def test_a_group_that_was_done_but_not_needed_is_trained_on_as_it_was() -> None:
    calls: Counter[str] = Counter()

    async def counting(sample: Sample, ctx: Any) -> float:
        calls["reward"] += 1
        return 1.0

    async def bonus(group: Group, ctx: Any) -> list[float]:
        calls["bonus"] += 1
        return [0.5] * len(group.samples)

    hooks = (WRITE, hook("slime_reward", counting), hook("slime_group_reward", bonus, "bonus"))
    studio, drawing = studio_of(partial(over_sample=2.0), *hooks)
    rollout = await studio.roll(Scene(0, 1), Writer(lambda index: 3), drawing)
    state = saved(drawing)
    assert [row["outcome"] for row in state["buffer"]] == [{"fate": "kept", "reason": ""}] * 4
    before = dict(calls)
    studio, drawing = studio_of(partial(), *hooks)
    drawing.restore(state)
    writer = Writer(lambda index: 3)
    again = await studio.roll(Scene(1, 2), writer, drawing)
    assert dict(calls) == before
    assert writer.written == again.metrics["rollout/tokens"] == 0
    assert {s.reward for s in (*samples_of(rollout), *samples_of(again))} == {1.5}
    assert ids(again) == [f"p{i}" for i in range(8) if f"p{i}" not in ids(rollout)]


async def test_a_group_reward_that_was_cancelled_half_way_is_not_added_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("slime_core.rollout.collecting.GRACE_S", 0.02)
    wait = asyncio.Event()

    async def one(group: Group, ctx: Any) -> list[float]:
        return [1.0] * len(group.samples)

    async def slow(group: Group, ctx: Any) -> list[float]:
        if group.index == 0:
            await wait.wait()
        return [1.0] * len(group.samples)

    hooks = (hook("slime_group_reward", f, n) for f, n in ((one, "one"), (slow, "slow")))
    studio, drawing = studio_of(partial(over_sample=1.25), WRITE, REWARD, *hooks)
    await studio.roll(Scene(0, 1), Writer(lambda index: 3), drawing)
    (row,) = saved(drawing)["buffer"]
    assert [place["answer"][0]["rewards"].keys() for place in row["places"]] == [{"task"}] * 2
    wait.set()
    again = await studio.roll(Scene(1, 1), Writer(lambda index: 3), drawing)
    for sample in again.groups[0].samples:
        assert sample.reward == sample.trace.tokens[-1] + 2.0


async def test_a_finished_sample_whose_reward_was_interrupted_is_scored_not_generated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("slime_core.rollout.collecting.GRACE_S", 0.02)
    wait = asyncio.Event()

    async def slow(sample: Sample, ctx: Any) -> float:
        if sample.index == 0:
            await wait.wait()
        return 1.0

    hooks = (WRITE, hook("slime_reward", slow))
    studio, drawing = studio_of(partial(over_sample=1.25), *hooks)
    await studio.roll(Scene(0, 1), Writer(lambda index: 3), drawing)
    state = saved(drawing)
    assert [p["scored"] for p in state["buffer"][0]["places"]] == [False, True]
    wait.set()
    studio, drawing = studio_of(partial(), *hooks)
    drawing.restore(state)
    writer = Writer(lambda index: 3)
    again = await studio.roll(Scene(1, 2), writer, drawing)
    assert {0, 1}.isdisjoint(writer.finished)
    assert [s.reward for s in again.groups[0].samples] == [1.0, 1.0]
    assert again.groups[0].samples[0].response != ""


async def test_siblings_of_which_one_was_interrupted_begin_anew() -> None:
    async def twins(sample: Sample, engine: Any, ctx: Any) -> list[Sample]:
        other = Sample(sample.index, sample.group_index, sample.prompt)
        return [await write(one, engine, ctx) for one in (sample, other)]

    studio, drawing = studio_of(partial(over_sample=1.25), hook("slime_generate", twins), REWARD)

    def length(index: int) -> int:
        return 30 if index < 2 else 3

    await studio.roll(Scene(0, 1), Writer(length), drawing)
    (row,) = saved(drawing)["buffer"]
    assert [len(place["sample"]["trace"]) for place in row["places"]] == [0, 0]
    studio, _ = studio_of(partial(), hook("slime_generate", twins), REWARD)
    again = await studio.roll(Scene(1, 2), Writer(lambda index: 3), drawing)
    assert [len(s.trace) for s in again.groups[0].samples] == [7] * 4


async def test_a_sibling_that_has_its_reward_is_not_scored_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("slime_core.rollout.collecting.GRACE_S", 0.02)
    wait = asyncio.Event()
    scored: Counter[int] = Counter()

    async def twins(sample: Sample, engine: Any, ctx: Any) -> list[Sample]:
        other = Sample(sample.index, sample.group_index, sample.prompt)
        return [await write(one, engine, ctx) for one in (sample, other)]

    async def slow(sample: Sample, ctx: Any) -> float:
        if sample.group_index == 0 and sample.index > 1:
            await wait.wait()
        scored[sample.index] += 1
        return 1.0

    hooks = (hook("slime_generate", twins), hook("slime_reward", slow))
    studio, drawing = studio_of(partial(over_sample=1.25), *hooks)
    await studio.roll(Scene(0, 1), Writer(lambda index: 3), drawing)
    wait.set()
    again = await studio_of(partial(), *hooks)[0].roll(
        Scene(1, 1), Writer(lambda index: 3), drawing
    )
    assert len(again.groups[0].samples) == 4
    assert set(scored.values()) == {1}


async def test_groups_with_stale_tokens_only_are_dropped_where_those_are_masked() -> None:
    config = partial(over_sample=2.0, mask_stale_tokens=True)
    studio, drawing = studio_of(config, WRITE, REWARD)
    await studio.roll(Scene(0, 1), Writer(lambda index: 3), drawing)
    again = await studio.roll(Scene(1, 2), Writer(lambda index: 3, weight_version=2), drawing)
    assert again.metrics["prompts/filtered/stale"] == 4
    assert balance(again.metrics) == (8, 8)
    assert {v for s in samples_of(again) for v in s.trace.weight_versions} == {-1, 2}


def flight_with(metadata: dict[str, Any], fields: dict[str, Any]) -> Flight:
    sample = Sample(5, 2, Prompt("p", [], label=[1, "x"]), metadata=metadata, fields=fields)
    sample.trace.append_prompt([1])
    sample.trace.append_sampled([7, 8], [-0.25, float("-inf")], 3)
    return Flight.of(Group(2, sample.prompt, [sample]))


def test_a_flight_comes_back_from_json_as_it_was() -> None:
    flight = flight_with({"turns": [{"a": None}], "n": 1.5}, {"length": np.arange(3)})
    row = flight_to_dict(flight)
    again = flight_from_dict(json.loads(json.dumps(row)))
    assert flight_to_dict(again) == row
    assert again.places[0].sample is again.group.samples[0]
    assert again.places[0].sample.trace == flight.places[0].sample.trace
    flight.places[0].answer = [flight.places[0].sample]
    flight.places[0].scored = True
    flight.outcome = Outcome(flight.group, "filtered", "dull")
    again = flight_from_dict(json.loads(json.dumps(flight_to_dict(flight))))
    assert again.outcome is not None
    assert (again.outcome.fate, again.outcome.reason) == ("filtered", "dull")
    assert again.outcome.group is again.group
    assert again.places[0].answer == again.group.samples == [again.places[0].sample]


def test_what_is_no_json_cannot_be_kept_and_the_message_says_whose_it_is() -> None:
    with pytest.raises(PluginError, match=r"sample 5 of prompt 'p' cannot be kept.*is a object"):
        flight_to_dict(flight_with({"open": object()}, {}))
