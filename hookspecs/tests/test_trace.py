"""No sequence of calls can misalign a trace."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from slime_hookspecs import NO_VERSION, Segment, Trace

tokens_lists = st.lists(st.integers(0, 300_000), max_size=5)
logprobs = st.floats(-50, 0)
sampled = tokens_lists.flatmap(
    lambda tokens: st.tuples(
        st.just(tokens), st.lists(logprobs, min_size=len(tokens), max_size=len(tokens))
    )
)


class TraceMachine(RuleBasedStateMachine):
    """Grows a trace and, beside it, the four columns the slow way."""

    def __init__(self) -> None:
        super().__init__()
        self.trace = Trace()
        self.rows: list[tuple[int, int, float, int]] = []
        self.prompt = 0
        self.answered = False

    def _grow(
        self, tokens: list[int], mask: int, logprobs: list[float] | None, version: int
    ) -> None:
        for token, logprob in zip(tokens, logprobs or [0.0] * len(tokens), strict=True):
            self.rows.append((token, mask, logprob, version))

    @rule(tokens=tokens_lists)
    def append_prompt(self, tokens: list[int]) -> None:
        if self.answered:
            before = self.trace.to_list()
            with pytest.raises(ValueError, match="cannot follow a response"):
                self.trace.append_prompt(tokens)
            assert self.trace.to_list() == before
            return
        self.trace.append_prompt(tokens)
        self._grow(tokens, 0, None, NO_VERSION)
        self.prompt += len(tokens)

    @rule(pair=sampled, version=st.integers(0, 9))
    def append_sampled(self, pair: tuple[list[int], list[float]], version: int) -> None:
        self.trace.append_sampled(*pair, version)
        self._grow(pair[0], 1, pair[1], version)
        self.answered |= bool(pair[0])

    @rule(tokens=tokens_lists)
    def append_observed(self, tokens: list[int]) -> None:
        self.trace.append_observed(tokens)
        self._grow(tokens, 0, None, NO_VERSION)
        self.answered |= bool(tokens)

    @rule(tokens=tokens_lists)
    def append_demonstrated(self, tokens: list[int]) -> None:
        self.trace.append_demonstrated(tokens)
        self._grow(tokens, 1, None, NO_VERSION)
        self.answered |= bool(tokens)

    @rule(pair=sampled, version=st.integers(-3, -1))
    def a_negative_version_is_refused(
        self, pair: tuple[list[int], list[float]], version: int
    ) -> None:
        before = self.trace.to_list()
        with pytest.raises(ValueError, match="below 0"):
            self.trace.append_sampled(*pair, version)
        assert self.trace.to_list() == before

    @rule(tokens=tokens_lists, extra=st.sampled_from([-1, 1]))
    def lengths_that_differ_are_refused(self, tokens: list[int], extra: int) -> None:
        count = max(0, len(tokens) + extra)
        if count == len(tokens):
            return
        before = self.trace.to_list()
        with pytest.raises(ValueError, match="log-probs"):
            self.trace.append_sampled(tokens, [-1.0] * count, 0)
        assert self.trace.to_list() == before

    @rule(bad=st.sampled_from([math.nan, 0.1, math.inf]), at=st.integers(0, 2))
    def a_log_prob_above_zero_or_nan_is_refused(self, bad: float, at: int) -> None:
        values = [-1.0, -1.0, -1.0]
        values[at] = bad
        before = self.trace.to_list()
        with pytest.raises(ValueError, match="NaN or above 0"):
            self.trace.append_sampled([1, 2, 3], values, 0)
        assert self.trace.to_list() == before

    @rule()
    def go_on_with_a_copy(self) -> None:
        original = self.trace
        self.trace = original.copy()
        original.append_observed([1])
        assert self.trace != original

    @rule()
    def go_on_after_a_round_trip_through_json(self) -> None:
        restored = Trace.from_list(json.loads(json.dumps(self.trace.to_list())))
        assert restored == self.trace
        self.trace = restored

    @invariant()
    def columns_line_up(self) -> None:
        trace = self.trace
        columns = (trace.tokens, trace.loss_mask, trace.logprobs, trace.weight_versions)
        assert list(zip(*columns, strict=True)) == self.rows
        assert len(trace) == len(self.rows)

    @invariant()
    def lengths_agree(self) -> None:
        assert self.trace.prompt_length == self.prompt
        assert self.trace.response_tokens == self.trace.tokens[self.prompt :]
        assert self.trace.sampled_length == sum(row[3] != NO_VERSION for row in self.rows)
        assert all(segment.tokens for segment in self.trace.segments)


TestTraceMachine = TraceMachine.TestCase


@pytest.mark.parametrize(
    "segment",
    [
        Segment("sampled", (1, 2), (-1.0,), 0),
        Segment("sampled", (1,), (-1.0,)),
        Segment("sampled", (1,), (math.nan,), 0),
        Segment("prompt", (1,), (-1.0,)),
        Segment("observed", (1,), (), 3),
        Segment("demonstrated", (), (), 3),
        Segment("dreamt", (1,)),  # type: ignore[arg-type]
    ],
)
def test_a_segment_that_contradicts_itself_never_enters_a_trace(segment: Segment) -> None:
    with pytest.raises(ValueError, match=r"."):
        Trace([segment])


@given(tokens_lists, st.data())
def test_changing_a_list_that_was_appended_changes_no_trace(tokens: list[int], data: Any) -> None:
    trace = Trace()
    trace.append_prompt(tokens)
    before = trace.tokens
    tokens.append(1)
    trace.tokens.append(data.draw(st.integers(0, 9)))
    assert trace.tokens == before


def test_a_trace_shows_its_segments_and_cannot_be_a_key() -> None:
    trace = Trace([Segment("prompt", (1, 2)), Segment("sampled", (3,), (-0.5,), 0)])
    assert repr(trace) == "Trace(prompt[2], sampled[1])"
    with pytest.raises(TypeError):
        hash(trace)


def test_the_last_turn_is_what_was_sampled_since_anything_else() -> None:
    trace = Trace()
    assert trace.last_turn == []
    trace.append_prompt([1])
    trace.append_sampled([2], [-1.0], 0)
    trace.append_observed([3])
    assert trace.last_turn == []
    trace.append_sampled([4], [-1.0], 0)
    trace.append_sampled([5, 6], [-1.0, -1.0], 1)
    assert trace.last_turn == [4, 5, 6]
