"""Records and contexts that travel between processes."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import (
    KEEP,
    BatchField,
    Context,
    DataSource,
    EvalSet,
    Group,
    Message,
    Prompt,
    Reward,
    RunInfo,
    Sample,
    SampleError,
    Sampling,
    Segment,
    StopReason,
    Trace,
    Verdict,
)

MESSAGES: list[Message] = [{"role": "user", "content": "1+1="}]
PROMPT = Prompt("p", MESSAGES, label="2")
RUN = RunInfo("test", Path(), Path(), 0, 1, 1, 1, 8)


def sample(index: int = 0, **changes: Any) -> Sample:
    return Sample(index, 0, PROMPT, **changes)


@pytest.mark.parametrize(
    "record",
    [
        PROMPT,
        Reward(1.0, {"correct": 1.0}),
        SampleError("core", "slime_reward", "ValueError", "no"),
        Verdict(False, "zero_variance"),
        Sampling(temperature=0.0),
        BatchField("target", "token"),
        RUN,
        Segment("prompt", (1, 2)),
    ],
)
def test_records_are_frozen_and_travel_between_processes(record: Any) -> None:
    assert pickle.loads(pickle.dumps(record)) == record
    name = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, name, None)


def test_a_sample_travels_with_its_trace() -> None:
    full = sample(reward=1.0, stop=StopReason.STOP, rewards={"math": Reward(1.0)})
    full.trace.append_prompt([1, 2])
    full.trace.append_sampled([3], [-0.5], 4)
    found = pickle.loads(pickle.dumps(full))
    assert dataclasses.asdict(found) == dataclasses.asdict(full)
    assert isinstance(found.trace, Trace)


def test_a_group_counts_as_scored_what_has_a_reward_and_no_error() -> None:
    error = SampleError("core", "slime_reward", "ValueError", "no")
    samples = [sample(0, reward=0.0), sample(1), sample(2, reward=1.0, error=error)]
    assert Group(0, PROMPT, samples).scored == samples[:1]


def test_samples_share_no_mutable_default() -> None:
    first, second = sample(), sample()
    first.metadata["seen"] = True
    first.trace.append_prompt([1])
    first.fields["x"] = 1
    assert (second.metadata, len(second.trace), second.fields) == ({}, 0, {})


def test_a_stop_reason_is_its_word() -> None:
    assert StopReason("length") is StopReason.LENGTH
    assert f"{StopReason.STOP}" == json.dumps(StopReason.STOP).strip('"') == "stop"
    assert len({reason.value for reason in StopReason}) == len(StopReason)


def test_the_verdict_to_keep_has_no_reason() -> None:
    assert Verdict(True) == KEEP
    assert KEEP.reason == ""


def test_a_verdict_that_rejects_samples_can_be_compared_and_hashed() -> None:
    verdict = Verdict(True, rejected={3: "dull"})
    assert verdict == Verdict(True, rejected={3: "dull"})
    assert verdict != KEEP
    assert len({verdict, Verdict(True, rejected={3: "dull"}), KEEP}) == 2


def test_a_group_trains_on_the_scored_samples_that_no_filter_rejected() -> None:
    samples = [sample(0, reward=1.0), sample(1, reward=0.0, rejected="dull"), sample(2)]
    group = Group(0, PROMPT, samples)
    assert [one.index for one in group.scored] == [0, 1]
    assert [one.index for one in group.trained] == [0]


def test_a_context_draws_the_same_numbers_for_the_same_seed() -> None:
    first, again = Context(RUN, None, seed=7), Context(RUN, None, seed=7)
    drawn = [first.rng.random(), first.rng.random()]
    assert drawn == [again.rng.random(), again.rng.random()]
    assert drawn[0] != drawn[1]
    assert Context(RUN, None, seed=8).rng.random() not in drawn


def test_a_context_travels_to_a_worker_process() -> None:
    context = Context(RUN, {"a": 1}, step=3, seed=7, evaluating="heldout")
    found = pickle.loads(pickle.dumps(context))
    assert found == context
    assert found.rng.random() == context.rng.random()


def test_an_evaluation_set_is_greedy_only_when_told() -> None:
    plain = EvalSet("heldout", [PROMPT])
    assert plain.samples_per_prompt == 1
    assert plain.sampling == Sampling()


def test_a_class_with_the_three_methods_is_a_data_source() -> None:
    class Source:
        def take(self, count: int) -> list[Prompt]:
            return [PROMPT] * count

        def state(self) -> dict[str, Any]:
            return {}

        def restore(self, state: Any) -> None:
            return None

    assert isinstance(Source(), DataSource)
    assert not isinstance(object(), DataSource)
