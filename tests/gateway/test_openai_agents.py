"""Agents of the ``openai-agents`` package run unmodified, and what they did is one trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import agents
import pytest

CALL = 'I add. <tool_call>\n{"name": "add", "arguments": {"a": 19, "b": 23}}\n</tool_call>'
TOGETHER = CALL + CALL.removeprefix("I add.").replace("19", "1")
UNKNOWN = CALL.replace('"add"', '"divide"')
HANDOFF = '<tool_call>\n{"name": "transfer_to_poet", "arguments": {}}\n</tool_call>'


@pytest.fixture(autouse=True)
def _nothing_is_reported() -> Iterator[None]:
    """The package would send a report of each run to its maker."""
    agents.set_tracing_disabled(True)
    yield
    agents.set_tracing_disabled(False)


def model(served: Any) -> agents.OpenAIChatCompletionsModel:
    return agents.OpenAIChatCompletionsModel(model="tiny", openai_client=served.client)


def calculator(served: Any, added: list[tuple[int, int]], **fields: Any) -> agents.Agent[Any]:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        added.append((a, b))
        return a + b

    tools = [agents.function_tool(add)]
    return agents.Agent("calc", instructions="Add.", tools=tools, model=model(served), **fields)


def kinds(served: Any) -> list[list[str]]:
    return [[segment.kind for segment in trace.segments] for trace in served.talk.traces]


def observed(served: Any, trace: int = 0) -> str:
    (tokens,) = (s.tokens for s in served.talk.traces[trace].segments if s.kind == "observed")
    return str(served.writer.tokenizer.decode(tokens))


async def test_an_agent_calls_its_tool_and_the_run_is_one_trace(serve: Any) -> None:
    served, added = serve(CALL, "It is 42."), []
    result = await agents.Runner.run(calculator(served, added), "19+23?")
    assert (result.final_output, added) == ("It is 42.", [(19, 23)])
    assert kinds(served) == [["prompt", "sampled", "observed", "sampled"]]
    assert observed(served) == "\n<|tool|>42<|end|>\n<|assistant|>"
    (trace,) = served.talk.traces
    said = [list(s.tokens) for s in trace.segments if s.kind == "sampled"]
    assert said == [served.writer.words(CALL), served.writer.words("It is 42.")]


async def test_a_streamed_run_is_the_same_trace(serve: Any) -> None:
    plain, streamed = serve(CALL, "It is 42."), serve(CALL, "It is 42.")
    await agents.Runner.run(calculator(plain, []), "19+23?")
    run = agents.Runner.run_streamed(calculator(streamed, []), "19+23?")
    events = [event.type async for event in run.stream_events()]
    assert run.final_output == "It is 42."
    assert "raw_response_event" in events
    (one,), (other,) = plain.talk.traces, streamed.talk.traces
    assert one.tokens == other.tokens


async def test_calls_side_by_side_are_each_answered(serve: Any) -> None:
    served, added = serve(TOGETHER, "Done."), []
    await agents.Runner.run(calculator(served, added), "Both?")
    assert sorted(added) == [(1, 23), (19, 23)]
    assert observed(served).count("<|tool|>") == 2
    assert len(served.talk.traces) == 1


async def test_a_conversation_that_goes_on_goes_on_in_its_trace(serve: Any) -> None:
    served = serve(CALL, "It is 42.", "You're welcome.")
    agent = calculator(served, [])
    first = await agents.Runner.run(agent, "19+23?")
    await agents.Runner.run(agent, [*first.to_input_list(), {"role": "user", "content": "Thanks"}])
    assert kinds(served) == [["prompt", "sampled", *["observed", "sampled"] * 2]]


async def test_a_call_of_a_tool_that_there_is_not_is_text_that_the_agent_sees(serve: Any) -> None:
    served, added = serve(UNKNOWN), []
    result = await agents.Runner.run(calculator(served, added), "19/23?")
    assert (result.final_output, added) == (UNKNOWN, [])
    assert kinds(served) == [["prompt", "sampled"]]


async def test_a_tool_that_raises_is_shown_to_the_model(serve: Any) -> None:
    def add(a: int, b: int) -> int:
        raise RuntimeError("out of numbers")

    served = serve(CALL, "Sorry.")
    agent = agents.Agent("calc", tools=[agents.function_tool(add)], model=model(served))
    assert (await agents.Runner.run(agent, "19+23?")).final_output == "Sorry."
    assert "out of numbers" in observed(served)


async def test_an_agent_that_takes_over_has_a_trace_of_its_own(serve: Any) -> None:
    served = serve(HANDOFF, "A rose.")
    poet = agents.Agent("poet", instructions="Rhyme.", model=model(served))
    first = agents.Agent("boss", instructions="Ask.", handoffs=[poet], model=model(served))
    assert (await agents.Runner.run(first, "A poem.")).final_output == "A rose."
    assert kinds(served) == [["prompt", "sampled"]] * 2
    assert served.gateway.counts == {"gateway/turns": 2, "gateway/branches": 1}


async def test_a_forced_call_is_asked_for_once_and_left_to_the_model_later(serve: Any) -> None:
    served = serve(CALL, "It is 42.")
    settings = agents.ModelSettings(tool_choice="required", parallel_tool_calls=False)
    await agents.Runner.run(calculator(served, [], model_settings=settings), "19+23?")
    first, second = (sampling.extra for sampling in served.writer.sampled)
    assert (list(first), list(second)) == (["ebnf"], [])
    assert len(served.talk.traces) == 1
