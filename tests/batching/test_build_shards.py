"""Shards: nothing is lost, nothing counts twice, and the weights of an update add up to 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slime_hookspecs import BatchField, PluginError, Prompt, Sample, Trace

from slime_core.batching import SAMPLE_COLUMNS, TOKEN_COLUMNS, MicroBatch, Shard, build_shards

FIELDS = [
    BatchField("teacher", per="token", shape=(2,)),
    BatchField("turns", per="sample", dtype="int64", default=7),
]


def sample_of(index: int, prompt: int, sampled: int, observed: int = 0, **extra: Any) -> Sample:
    """Token ids and log-probs tell which sample and position they come from."""
    trace = Trace()
    trace.append_prompt([index * 1000 + i for i in range(prompt)])
    for kind, count in (("sampled", sampled), ("observed", observed), ("sampled", 1)):
        ids = [index * 1000 + len(trace) + i for i in range(count if sampled else 0)]
        if kind == "sampled":
            trace.append_sampled(ids, [-float(token) for token in ids], weight_version=index)
        else:
            trace.append_observed(ids)
    teacher = [[token, -token] for token in trace.tokens]
    made = Sample(index, index // 4, Prompt(str(index), []), trace=trace, **extra)
    made.reward, made.advantage = 1.0, index / 10
    made.fields["teacher"] = np.array(teacher, dtype=np.float32).reshape(-1, 2)
    return made


def build(samples: Sequence[Sample], **changes: Any) -> list[Shard]:
    settings = {"dp": 1, "updates": 1, "micro_batch_tokens": 64, "aggregation": "token-mean"}
    return build_shards(
        samples, **{**settings, "fields": FIELDS, "owners": {"teacher": "distil"}, **changes}
    )


def micro_batches(shards: list[Shard], update: int) -> list[MicroBatch]:
    return [micro_batch for shard in shards for micro_batch in shard.updates[update]]


def weight(micro_batch: MicroBatch) -> float:
    return float(micro_batch.columns["loss_weights"].sum(dtype=np.float64))


shapes = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 40), st.integers(0, 10)), min_size=1, max_size=30
)
anything = {
    "shapes": shapes,
    "dp": st.integers(1, 5),
    "updates": st.integers(1, 6),
    "limit": st.integers(1, 120),
    "aggregation": st.sampled_from(["token-mean", "sequence-mean"]),
}


def trained_tokens(sample: Sample) -> int:
    return sum(sample.trace.loss_mask[1:])


@settings(max_examples=150, deadline=None)
@given(**anything)
def test_weights_of_every_update_add_up_to_one(
    shapes: list[tuple[int, int, int]], dp: int, updates: int, limit: int, aggregation: str
) -> None:
    samples = [sample_of(i, *shape) for i, shape in enumerate(shapes)]
    shards = build(
        samples, dp=dp, updates=updates, micro_batch_tokens=limit, aggregation=aggregation
    )
    for update in range(len(shards[0].updates)):
        total = sum(map(weight, micro_batches(shards, update)))
        assert total == pytest.approx(1.0, abs=1e-6)


@settings(max_examples=150, deadline=None)
@given(**anything)
def test_every_sample_counts_exactly_once_and_ranks_keep_step(
    shapes: list[tuple[int, int, int]], dp: int, updates: int, limit: int, aggregation: str
) -> None:
    samples = [sample_of(i, *shape) for i, shape in enumerate(shapes)]
    shards = build(
        samples, dp=dp, updates=updates, micro_batch_tokens=limit, aggregation=aggregation
    )
    teaching = [s.index for s in samples if trained_tokens(s)]
    seen: Counter[int] = Counter()
    per_update = []
    for update in range(len(shards[0].updates)):
        assert len({len(shard.updates[update]) for shard in shards}) == 1
        here = [m for m in micro_batches(shards, update) if weight(m)]
        seen.update(int(i) for m in here for i in m.columns["sample_indices"])
        per_update.append(sum(len(m.columns["lengths"]) for m in here))
    assert seen == Counter(teaching)
    assert len(per_update) == min(updates, len(teaching))
    assert not per_update or max(per_update) - min(per_update) <= 1


@settings(max_examples=100, deadline=None)
@given(**anything)
def test_columns_are_aligned_and_limits_kept(
    shapes: list[tuple[int, int, int]], dp: int, updates: int, limit: int, aggregation: str
) -> None:
    samples = {i: sample_of(i, *shape) for i, shape in enumerate(shapes)}
    shards = build(
        list(samples.values()),
        dp=dp,
        updates=updates,
        micro_batch_tokens=limit,
        aggregation=aggregation,
    )
    for update in range(len(shards[0].updates)):
        for micro_batch in micro_batches(shards, update):
            columns = micro_batch.columns
            total = int(columns["lengths"].sum())
            assert total <= limit or len(columns["lengths"]) == 1
            for name, dtype in TOKEN_COLUMNS.items():
                assert columns[name].dtype == dtype
                assert columns[name].shape == (total,)
                assert columns[name].flags.c_contiguous
            for name, dtype in SAMPLE_COLUMNS.items():
                assert columns[name].dtype == dtype
                assert columns[name].shape == columns["lengths"].shape
            check_against_traces(columns, samples, copy=not weight(micro_batch))


def check_against_traces(columns: dict[str, Any], samples: dict[int, Sample], copy: bool) -> None:
    start = 0
    for place, index in enumerate(columns["sample_indices"]):
        sample = samples[int(index)]
        here = slice(start, start + int(columns["lengths"][place]))
        start = here.stop
        mask = [0, *sample.trace.loss_mask[1:]]
        assert columns["tokens"][here].tolist() == sample.trace.tokens
        assert columns["rollout_logprobs"][here].tolist() == sample.trace.logprobs
        assert columns["weight_versions"][here].tolist() == sample.trace.weight_versions
        assert columns["teacher"][here].tolist() == sample.fields["teacher"].tolist()
        assert columns["loss_mask"][here].tolist() == ([0] * len(mask) if copy else mask)
        assert ((columns["loss_weights"][here] > 0).tolist() == [bool(m) for m in mask]) or copy
        assert columns["sample_advantages"][place] == np.float32(sample.advantage)
        assert columns["turns"][place] == 7


def test_token_mean_weighs_tokens_alike_and_sequence_mean_weighs_samples_alike() -> None:
    samples = [sample_of(0, 3, 1), sample_of(1, 3, 5)]  # 2 and 6 trained tokens
    by_token = build(samples)[0].updates[0][0].columns["loss_weights"]
    by_sample = build(samples, aggregation="sequence-mean")[0].updates[0][0].columns
    assert sorted(set(by_token.tolist())) == [0.0, 0.125]
    assert np.add.reduceat(by_sample["loss_weights"], [0, 5]).tolist() == pytest.approx([0.5, 0.5])


def test_a_first_token_is_never_trained_even_if_it_was_sampled() -> None:
    columns = build([sample_of(0, 0, 4)])[0].updates[0][0].columns
    assert columns["loss_mask"].tolist() == [0, 1, 1, 1, 1]
    assert weight(MicroBatch(columns)) == pytest.approx(1.0)


def test_the_order_of_samples_does_not_matter() -> None:
    samples = [sample_of(i, 3, 1 + i % 7) for i in range(20)]
    one = build(samples, dp=3, updates=2)
    other = build(samples[::-1], dp=3, updates=2)
    for mine, theirs in zip(one, other, strict=True):
        for update, same in zip(mine.updates, theirs.updates, strict=True):
            for a, b in zip(update, same, strict=True):
                assert all((a.columns[name] == b.columns[name]).all() for name in a.columns)


def test_ranks_get_about_as_many_tokens() -> None:
    samples = [sample_of(i, 2, 10 + (i * 37) % 90) for i in range(64)]
    loads = [
        sum(int(m.columns["lengths"].sum()) for m in shard.updates[0])
        for shard in build(samples, dp=4, micro_batch_tokens=400)
    ]
    assert max(loads) - min(loads) <= 10


def test_fewer_samples_than_ranks_are_filled_up_with_copies_of_no_weight() -> None:
    shards = build([sample_of(0, 2, 3), sample_of(1, 2, 30)], dp=4)
    weights = [weight(shard.updates[0][0]) for shard in shards]
    assert [w > 0 for w in weights] == [True, True, False, False]
    assert shards[3].updates[0][0].columns["sample_indices"].tolist() == [0]


def test_nothing_to_train_on_gives_shards_without_updates() -> None:
    assert [shard.updates for shard in build([], dp=2)] == [[], []]
    assert [shard.updates for shard in build([sample_of(0, 5, 0)], dp=2)] == [[], []]


def test_a_missing_required_field_names_plugin_field_and_sample() -> None:
    sample = sample_of(3, 2, 2)
    del sample.fields["teacher"]
    with pytest.raises(
        PluginError, match="plugin distil, batch field 'teacher', sample 3: not set"
    ):
        build([sample])


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (np.zeros((2, 2)), r"found shape \[2, 2\], expected \[5, 2\]"),
        ([["a", "b"]] * 5, "expected float32"),
        ([[1, 2], [3]], "not an array of numbers"),
    ],
)
def test_a_wrong_field_says_what_was_found(value: Any, found: str) -> None:
    sample = sample_of(3, 2, 2)
    sample.fields["teacher"] = value
    with pytest.raises(PluginError, match=found):
        build([sample])


def test_a_fraction_in_a_field_of_whole_numbers_is_refused() -> None:
    sample = sample_of(3, 2, 2)
    sample.fields["turns"] = 1.5
    with pytest.raises(PluginError, match="found float64 values, expected int64"):
        build([sample])


@pytest.mark.parametrize("aggregation", ["token-mean", "sequence-mean"])
def test_tokens_of_older_weights_are_not_trained_on_and_the_rest_weighs_as_if_they_were_not_there(
    aggregation: str,
) -> None:
    def continued(index: int, versions: Sequence[int]) -> Sample:
        made = sample_of(index, 2, 0)
        for version in versions:
            made.trace.append_sampled([index, index], [-0.5, -0.5], version)
        made.trace.append_observed([9])
        made.fields["teacher"] = np.zeros((len(made.trace), 2), dtype=np.float32)
        return made

    told = continued(3, [])
    told.trace.append_demonstrated([5])
    told.fields["teacher"] = np.zeros((len(told.trace), 2), dtype=np.float32)
    samples = [continued(0, [1, 2, 3]), continued(1, [2]), continued(2, [1]), told]
    (shard,) = build(samples, aggregation=aggregation, oldest_version=2, micro_batch_tokens=999)
    ((batch,),) = shard.updates
    columns = batch.columns
    assert columns["sample_indices"].tolist() == [0, 1, 3], "the third has nothing to teach"
    masks = [[0, 0, 0, 0, 1, 1, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1]]
    assert columns["loss_mask"].tolist() == [m for row in masks for m in row]
    assert columns["weight_versions"][:9].tolist() == [-1, -1, 1, 1, 2, 2, 3, 3, -1]
    counts = [4, 2, 1]
    each = [1 / 7] * 3 if aggregation == "token-mean" else [1 / (3 * n) for n in counts]
    expected = [m * w for row, w in zip(masks, each, strict=True) for m in row]
    assert columns["loss_weights"].tolist() == pytest.approx(expected)
    assert weight(batch) == pytest.approx(1.0)
