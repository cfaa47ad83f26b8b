"""A conversation keeps what was sampled, token for token, whatever the agent does with it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slime_hookspecs import Sampling, StopReason, Trace

from slime_core.engine.parsing import Parsers
from slime_core.engine.template import Template
from slime_core.gateway.conversation import Conversation, Turn
from slime_core.gateway.errors import ApiError
from slime_core.gateway.messages import normal

SYSTEM = {"role": "system", "content": "Be brief."}
HELLO = {"role": "user", "content": "Hello"}
MORE = {"role": "user", "content": "More"}


async def ask(
    talk: Conversation, messages: Sequence[dict[str, Any]], tools: Any = None, choices: int = 1
) -> list[Turn]:
    return await talk.chat(normal(messages), tools, {}, Sampling(), choices)


def kinds(trace: Trace) -> list[str]:
    return [segment.kind for segment in trace.segments]


def text(tokenizer: Any, trace: Trace) -> str:
    return str(tokenizer.decode(trace.tokens, skip_special_tokens=False))


async def test_the_first_answer_is_a_prompt_and_what_was_sampled(
    conversation: Any, writer: Any, tokenizer: Any
) -> None:
    talk = conversation(made := writer("Hi"))
    (turn,) = await ask(talk, [SYSTEM, HELLO])
    assert turn.message == {"role": "assistant", "content": "Hi"}
    assert (turn.prompt_tokens, turn.tokens) == (
        len(made.asked[0]),
        tuple(made.words("Hi")),
    )
    (trace,) = talk.traces
    assert kinds(trace) == ["prompt", "sampled"]
    whole = "<|system|>Be brief.<|end|>\n<|user|>Hello<|end|>\n<|assistant|>Hi<|end|>"
    assert text(tokenizer, trace) == whole


async def test_the_next_turn_continues_the_trace_with_nothing_but_what_is_new(
    conversation: Any, writer: Any, tokenizer: Any
) -> None:
    talk = conversation(writer("Hi", "Bye"))
    (first,) = await ask(talk, [HELLO])
    await ask(talk, [HELLO, first.message, MORE])
    (trace,) = talk.traces
    assert kinds(trace) == ["prompt", "sampled", "observed", "sampled"]
    added = tokenizer.decode(trace.segments[2].tokens, skip_special_tokens=False)
    assert added == "\n<|user|>More<|end|>\n<|assistant|>"
    assert [s.weight_version for s in trace.segments if s.kind == "sampled"] == [1, 2]


async def test_a_turn_that_was_cut_off_gets_the_end_that_it_did_not_write(
    conversation: Any, writer: Any, tokenizer: Any
) -> None:
    cut = tokenizer.encode("Hi th"), StopReason.LENGTH
    talk = conversation(writer(cut, "Bye"))
    (first,) = await ask(talk, [HELLO])
    await ask(talk, [HELLO, first.message, MORE])
    (trace,) = talk.traces
    added = tokenizer.decode(trace.segments[2].tokens, skip_special_tokens=False)
    assert added == "<|end|>\n<|user|>More<|end|>\n<|assistant|>"


async def test_what_was_sampled_is_never_tokenised_again(conversation: Any, writer: Any) -> None:
    # Bytes that are no text, special tokens in mid-answer: decoding them loses something.
    odd = [200, 3, 8 + 0xC3, 250, 5]
    made = writer(([*odd, 1], StopReason.STOP), "Bye")
    talk = conversation(made)
    (first,) = await ask(talk, [HELLO])
    await ask(talk, [HELLO, first.message, MORE])
    (trace,) = talk.traces
    assert trace.segments[1].tokens == (*odd, 1)
    assert made.asked[1][: len(made.asked[0]) + len(odd) + 1] == [*made.asked[0], *odd, 1]


@pytest.mark.parametrize(
    "resent",
    [
        {"role": "assistant", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "Hi", "tool_calls": None, "refusal": None},
        {"role": "assistant", "content": "Hi", "reasoning_content": "hm", "annotations": []},
    ],
)
async def test_clients_may_send_an_answer_back_in_their_own_shape(
    resent: dict[str, Any], conversation: Any, writer: Any
) -> None:
    talk = conversation(writer("Hi", "Bye"))
    await ask(talk, [HELLO])
    await ask(talk, [HELLO, resent, MORE])
    assert [kinds(trace) for trace in talk.traces] == [["prompt", "sampled", "observed", "sampled"]]


async def test_an_edited_history_becomes_a_trace_of_its_own(conversation: Any, writer: Any) -> None:
    counts: Counter[str] = Counter()
    talk = conversation(writer("Hi", "Bye"), counts=counts)
    await ask(talk, [HELLO])
    await ask(talk, [HELLO, {"role": "assistant", "content": "Hi, edited"}, MORE])
    assert [kinds(trace) for trace in talk.traces] == [["prompt", "sampled"]] * 2
    assert counts == {"gateway/turns": 2, "gateway/branches": 1}


async def test_two_requests_from_one_turn_are_sibling_traces_with_a_common_beginning(
    conversation: Any, writer: Any
) -> None:
    talk = conversation(writer("Hi", "one", "two"))
    (first,) = await ask(talk, [HELLO])
    for word in ("left", "right"):
        await ask(talk, [HELLO, first.message, {"role": "user", "content": word}])
    left, right = talk.traces
    assert left.segments[:2] == right.segments[:2]
    assert kinds(left) == kinds(right) == ["prompt", "sampled", "observed", "sampled"]
    assert left.segments[2:] != right.segments[2:]


async def test_answers_to_one_request_are_branches_each_of_which_can_go_on(
    conversation: Any, writer: Any
) -> None:
    talk = conversation(writer("a", "b", "c", "more of b"))
    turns = await ask(talk, [HELLO], choices=3)
    assert [turn.message["content"] for turn in turns] == ["a", "b", "c"]
    await ask(talk, [HELLO, turns[1].message, MORE])
    assert [len(kinds(trace)) for trace in talk.traces] == [2, 2, 4]


async def test_other_tools_are_another_prompt_so_another_trace(
    conversation: Any, writer: Any
) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {}}}
    talk = conversation(writer("Hi", "Bye"))
    (first,) = await ask(talk, [HELLO])
    await ask(talk, [HELLO, first.message, MORE], tools=[tool])
    assert [kinds(trace) for trace in talk.traces] == [["prompt", "sampled"]] * 2


async def test_a_tool_call_is_found_and_its_answer_observed(
    conversation: Any, writer: Any, tokenizer: Any
) -> None:
    call = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>'
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    talk = conversation(writer(f"Let me see. {call}", "It is 3."), Parsers(tool_calls="qwen25"))
    (first,) = await ask(talk, [HELLO], tools=[tool])
    (found,) = first.message["tool_calls"]
    assert found["function"] == {"name": "add", "arguments": '{"a": 1, "b": 2}'}
    result = {"role": "tool", "tool_call_id": found["id"], "content": "3"}
    await ask(talk, [HELLO, first.message, result], tools=[tool])
    (trace,) = talk.traces
    assert kinds(trace) == ["prompt", "sampled", "observed", "sampled"]
    added = tokenizer.decode(trace.segments[2].tokens, skip_special_tokens=False)
    assert added == "\n<|tool|>3<|end|>\n<|assistant|>"


@pytest.mark.parametrize("broken", ['{"name": "add", "arg', "{}", '{"name": "nothing"}'])
async def test_a_malformed_or_unknown_call_stays_text_for_the_agent_to_see(
    broken: str, conversation: Any, writer: Any
) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    said = f"<tool_call>\n{broken}\n</tool_call>"
    talk = conversation(writer(said, "Sorry"), Parsers(tool_calls="qwen25"))
    (first,) = await ask(talk, [HELLO], tools=[tool])
    assert not first.message.get("tool_calls")
    assert first.message["content"].strip() in (said, "")
    await ask(talk, [HELLO, first.message, MORE], tools=[tool])
    assert len(talk.traces) == 1


async def test_reasoning_is_told_apart_and_may_be_left_out_when_sent_back(
    conversation: Any, writer: Any
) -> None:
    talk = conversation(writer("<think>hm</think>Hi", "Bye"), Parsers(reasoning="qwen3"))
    (first,) = await ask(talk, [HELLO])
    assert first.message == {"role": "assistant", "content": "Hi", "reasoning_content": "hm"}
    await ask(talk, [HELLO, {"role": "assistant", "content": "Hi"}, MORE])
    assert len(talk.traces) == 1


async def test_a_conversation_that_does_not_fit_is_refused_with_its_length(
    conversation: Any, writer: Any
) -> None:
    talk = conversation(writer("Hi", context_length=20))
    with pytest.raises(ApiError) as caught:
        await ask(talk, [{"role": "user", "content": "x" * 50}])
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")
    assert "20 tokens, and the conversation has" in str(caught.value)
    assert talk.traces == []


async def test_an_aborted_answer_is_no_turn(conversation: Any, writer: Any) -> None:
    talk = conversation(writer(([9, 9], StopReason.ABORTED)))
    with pytest.raises(ApiError, match="the run ended this sample"):
        await ask(talk, [HELLO])
    assert talk.traces == []


async def test_a_template_that_drops_the_turn_leads_to_a_new_trace(
    conversation: Any, writer: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgets = "{% for m in messages %}{% if m['role'] != 'assistant' %}{{ m['content'] }}"
    forgets += "{% endif %}{% endfor %}"
    monkeypatch.setattr(tokenizer, "chat_template", forgets)
    talk = conversation(writer("Hi", "Bye"))
    (first,) = await ask(talk, [HELLO])
    await ask(talk, [HELLO, first.message, MORE])
    assert [kinds(trace) for trace in talk.traces] == [["prompt", "sampled"]] * 2


async def test_plain_text_goes_on_where_it_ended(
    conversation: Any, writer: Any, tokenizer: Any
) -> None:
    talk = conversation(writer("two", "four"))
    (first,) = await talk.complete("one ", Sampling(), 1)
    assert first.message == {"text": "two"}
    await talk.complete("one two three ", Sampling(), 1)
    (trace,) = talk.traces
    assert kinds(trace) == ["prompt", "sampled", "observed", "sampled"]
    assert tokenizer.decode(trace.segments[2].tokens) == " three "


async def test_tokens_go_on_where_they_ended(conversation: Any, writer: Any) -> None:
    talk = conversation(made := writer("two", "four"))
    await talk.complete([10, 11], Sampling(), 1)
    await talk.complete([10, 11, *made.words("two"), 12], Sampling(), 1)
    (trace,) = talk.traces
    assert [(s.kind, s.tokens) for s in trace.segments] == [
        ("prompt", (10, 11)),
        ("sampled", tuple(made.words("two"))),
        ("observed", (12,)),
        ("sampled", tuple(made.words("four"))),
    ]


TEXTS = st.text(max_size=12) | st.sampled_from(
    ["<|end|>", "<|assistant|>", "  \n", "\u2063", "日本 \U0001f600", "<tool_call>", "</think>"]
)
TOKENS = st.lists(st.integers(0, 263), min_size=1, max_size=8)
TURNS = st.lists(st.tuples(TOKENS, st.booleans(), st.lists(TEXTS, max_size=3)), max_size=6)


@settings(max_examples=300, deadline=None)
@given(turns=TURNS, tools=st.booleans(), reasoning=st.booleans())
def test_any_session_of_appended_turns_is_one_trace_of_exactly_the_sampled_tokens(
    tokenizer: Any, writer: Callable[..., Any], turns: Any, tools: bool, reasoning: bool
) -> None:
    offered = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    script = [
        ([*tokens, 1] if ended else tokens, StopReason.STOP if ended else StopReason.LENGTH)
        for tokens, ended, _ in turns
    ]
    parsers = Parsers("qwen25" if tools else None, "qwen3" if reasoning else None)
    made = writer(*script)
    talk = Conversation(made, Template(tokenizer), parsers, Counter())

    async def session() -> None:
        messages: list[dict[str, Any]] = [SYSTEM, HELLO]
        for _, _, texts in turns:
            (turn,) = await ask(talk, messages, offered if tools else None)
            new = [{"role": "tool", "content": t} for t in texts]
            messages = [*messages, turn.message, *new, MORE]

    asyncio.run(session())
    assert len(talk.traces) == bool(turns)
    for trace in talk.traces:
        sampled = [list(s.tokens) for s in trace.segments if s.kind == "sampled"]
        assert sampled == [list(tokens) for tokens, _ in script]
        assert made.asked == [
            trace.tokens[: sum(len(s.tokens) for s in trace.segments[:place])]
            for place, segment in enumerate(trace.segments)
            if segment.kind == "sampled"
        ]


@settings(max_examples=200, deadline=None)
@given(words=st.lists(st.text("ab c\n.é日", max_size=8), min_size=1, max_size=5))
def test_where_the_text_survives_the_trace_is_what_the_template_makes_of_the_whole_conversation(
    tokenizer: Any, writer: Callable[..., Any], words: list[str]
) -> None:
    talk = Conversation(writer(*words), Template(tokenizer), Parsers(), Counter())
    messages: list[dict[str, Any]] = [HELLO]

    async def session() -> None:
        for _ in words:
            (turn,) = await ask(talk, messages)
            messages.extend([turn.message, MORE])

    asyncio.run(session())
    whole = tokenizer.apply_chat_template(messages[:-1], tokenize=False)
    (trace,) = talk.traces
    assert text(tokenizer, trace) + "\n" == whole
