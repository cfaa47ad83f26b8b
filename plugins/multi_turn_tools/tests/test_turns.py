"""What a turn asks for, and the conversation that a trace is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from slime_hookspecs import Message, Trace
from slime_hookspecs.testing.kit import ScriptedEngine
from slime_hookspecs.testing.kit.calls import call
from slime_plugin_multi_turn_tools.calls import (
    Call,
    Turn,
    conversation,
    read_turn,
    settled,
    turns,
)
from slime_plugin_multi_turn_tools.tools.calculator import CALCULATOR

TOOLS = [CALCULATOR.schema]
ASK: Message = {"role": "user", "content": "2*3="}
TWO = call("calculator", expression="1") + call("calculator", expression="2")


class Model(ScriptedEngine):
    """Stands for an engine whose parser says what a test wants."""

    def __init__(self, message: Message) -> None:
        self.message = message

    def parse(self, trace: Trace, tools: Sequence[dict[str, Any]] | None = None) -> Message:
        return self.message


def trace_of(*parts: tuple[str, str]) -> Trace:
    """A trace of segments, each a kind and a text."""
    engine, trace = ScriptedEngine(), Trace()
    for kind, text in parts:
        tokens = engine.encode(text)
        if kind == "prompt":
            trace.append_prompt(tokens)
        elif kind == "observed":
            trace.append_observed(tokens)
        else:
            trace.append_sampled(tokens, [-1.0] * len(tokens), 1)
    return trace


@pytest.mark.parametrize(
    ("kinds", "count"),
    [
        ("", 0),
        ("p", 0),
        ("pp", 0),
        ("ps", 1),
        ("pss", 1),
        ("pso", 1),
        ("psos", 2),
        ("psosss", 2),
        ("psoos", 2),
        ("pssosso", 2),
    ],
)
def test_a_turn_is_one_however_often_it_was_interrupted(kinds: str, count: int) -> None:
    names = {"p": "prompt", "s": "sampled", "o": "observed"}
    assert turns(trace_of(*((names[one], "x") for one in kinds))) == count


def test_calls_are_numbered_by_turn_and_place() -> None:
    trace = trace_of(("prompt", "?"), ("sampled", "x"), ("observed", "y"), ("sampled", TWO))
    turn = read_turn(ScriptedEngine(), trace, TOOLS)
    assert turn.calls == (
        Call("call00200", "calculator", '{"expression": "1"}'),
        Call("call00201", "calculator", '{"expression": "2"}'),
    )
    assert turn.asks
    assert all(len(one.id) == 9 and one.id.isalnum() for one in turn.calls)


def test_the_message_has_the_calls_with_arguments_that_a_template_can_iterate_over() -> None:
    turn = read_turn(ScriptedEngine(), trace_of(("prompt", "?"), ("sampled", "Hm." + TWO)), TOOLS)
    assert turn.message == {
        "role": "assistant",
        "content": "Hm.",
        "tool_calls": [
            {
                "id": f"call0010{place}",
                "type": "function",
                "function": {"name": "calculator", "arguments": {"expression": str(place + 1)}},
            }
            for place in range(2)
        ],
    }


@pytest.mark.parametrize("arguments", ["{", "[1]", "", None, "[" * 100_000])
def test_arguments_that_are_none_are_kept_for_the_tool_to_refuse(arguments: Any) -> None:
    function = {"name": "calculator", "arguments": arguments}
    message = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
    turn = read_turn(Model(message), trace_of(("prompt", "?"), ("sampled", "x")), TOOLS)
    assert turn.calls[0].arguments == arguments
    assert turn.message["tool_calls"][0]["function"]["arguments"] == {}


@pytest.mark.parametrize(
    ("content", "garbled"),
    [
        ("Answer: 4", False),
        ("", False),
        (None, False),
        ("if a < b: call the tool", False),
        ("<tool_call>", True),
        ("Hm. <tool_call>{", True),
        ("<function=calculator>", True),
        ("[TOOL_CALLS]", True),
        ("<|python_tag|>1+1", True),
        ("<|tool_call|>[", True),
    ],
)
def test_a_turn_that_begins_a_call_and_has_none_is_garbled(content: Any, garbled: bool) -> None:
    message = {"role": "assistant", "content": content}
    turn = read_turn(Model(message), trace_of(("prompt", "?"), ("sampled", "x")), TOOLS)
    assert (turn.garbled, turn.asks, turn.calls) == (garbled, garbled, ())
    assert turn.message == message


def test_answers_name_the_calls_that_they_answer() -> None:
    turn = Turn({}, (Call("call00100", "a", "{}"), Call("call00101", "b", "{}")))
    assert turn.answered(["1", "2"]) == [
        {"role": "tool", "tool_call_id": "call00100", "name": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "call00101", "name": "b", "content": "2"},
    ]
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        turn.answered(["1"])
    assert Turn({}, garbled=True).answered(["no"]) == [{"role": "tool", "content": "no"}]


def test_a_trace_is_the_conversation_that_it_came_from() -> None:
    one = call("calculator", expression="2*3")
    trace = trace_of(
        ("prompt", "?"),
        ("sampled", one[:9]),
        ("sampled", one[9:]),
        ("observed", "6"),
        ("sampled", "<tool_call>"),
        ("observed", "no"),
        ("sampled", "Answer"),
    )
    engine = ScriptedEngine()
    first, second = (read_turn(engine, Trace(trace.segments[:count]), TOOLS) for count in (3, 5))
    assert conversation(engine, [ASK], trace, TOOLS) == [
        ASK,
        first.message,
        {"role": "tool", "tool_call_id": "call00100", "name": "calculator", "content": "6"},
        second.message,
        {"role": "tool", "content": "no"},
    ]
    assert conversation(engine, [ASK], trace_of(("prompt", "?")), TOOLS) == [ASK]


def test_a_settled_turn_is_what_the_conversation_has_of_it() -> None:
    engine = ScriptedEngine()
    trace = trace_of(("prompt", "?"), ("sampled", TWO), ("observed", "1 and 2"))
    turn = read_turn(engine, Trace(trace.segments[:2]), TOOLS)
    assert [ASK, *settled(turn, "1 and 2")] == conversation(engine, [ASK], trace, TOOLS)
    assert len(settled(turn, "1 and 2")) == 3
