"""The built-in generation."""

from __future__ import annotations

from typing import Any

import pytest
from slime_hookspecs import EngineError, Message, Prompt, Sample, Sampling, StopReason, Trace

from slime_core.builtin import single_turn

TOOLS = [{"type": "function", "function": {"name": "add"}}]
PROMPT = Prompt("p", [{"role": "user", "content": "1+1="}], tools=TOOLS)


class FakeEngine:
    """Answers with three tokens and remembers what it was asked."""

    def __init__(self, stop: StopReason = StopReason.STOP) -> None:
        self.stop = stop
        self.rendered: list[Any] = []
        self.calls: list[tuple[list[int], Sampling | None]] = []

    def render(self, messages: list[Message], tools: Any = None) -> list[int]:
        self.rendered.append((messages, tools))
        return [1, 2, 3]

    async def generate(self, trace: Trace, sampling: Sampling | None = None) -> StopReason:
        self.calls.append((trace.tokens, sampling))
        trace.append_sampled([7, 8, 9], [-0.1, -0.2, -0.3], 5)
        return self.stop


async def test_prompt_is_rendered_with_its_tools_and_answered_once(make_context: Any) -> None:
    engine: Any = FakeEngine(StopReason.LENGTH)
    sample = Sample(0, 0, PROMPT)
    found = await single_turn.slime_generate(sample, engine, make_context())
    assert found is sample
    assert engine.rendered == [(PROMPT.messages, TOOLS)]
    assert engine.calls == [([1, 2, 3], None)]
    assert sample.trace.tokens == [1, 2, 3, 7, 8, 9]
    assert sample.trace.loss_mask == [0, 0, 0, 1, 1, 1]
    assert sample.stop is StopReason.LENGTH


async def test_an_interrupted_trace_is_continued_within_what_is_left_of_its_budget(
    make_context: Any,
) -> None:
    engine: Any = FakeEngine()
    sample = Sample(0, 0, PROMPT)
    sample.trace.append_prompt([1, 2, 3])
    sample.trace.append_sampled([4, 5], [-1.0, -1.0], 4)
    await single_turn.slime_generate(sample, engine, make_context(max_response_tokens=8))
    assert engine.rendered == []
    assert engine.calls == [([1, 2, 3, 4, 5], Sampling(max_new_tokens=6))]
    assert sample.trace.weight_versions == [-1, -1, -1, 4, 4, 5, 5, 5]


async def test_a_trace_whose_budget_is_spent_is_not_continued(make_context: Any) -> None:
    engine: Any = FakeEngine()
    sample = Sample(0, 0, PROMPT)
    sample.trace.append_prompt([1])
    sample.trace.append_sampled([4, 5], [-1.0, -1.0], 4)
    await single_turn.slime_generate(sample, engine, make_context(max_response_tokens=2))
    assert engine.calls == []
    assert sample.stop is StopReason.LENGTH


async def test_an_engine_that_fails_leaves_the_sample_pending(make_context: Any) -> None:
    class Broken(FakeEngine):
        async def generate(self, trace: Trace, sampling: Sampling | None = None) -> StopReason:
            raise EngineError("no server answered")

    engine: Any = Broken()
    sample = Sample(0, 0, PROMPT)
    with pytest.raises(EngineError):
        await single_turn.slime_generate(sample, engine, make_context())
    assert sample.stop is StopReason.PENDING
