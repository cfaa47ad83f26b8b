"""Whatever clients do in the middle of a conversation, its trace stays what was sampled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import anthropic
import openai
import pytest
from slime_hookspecs import StopReason

from slime_core.engine.template import Template

USER = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'


async def chat(served: Any, messages: Sequence[Any] = USER, **fields: Any) -> Any:
    call = served.client.chat.completions.create
    return await call(model="tiny", messages=list(messages), **fields)


def said(served: Any, *texts: str) -> list[Any]:
    """The history after answers, each followed by a user."""
    found: list[Any] = list(USER)
    for text in texts:
        found += [{"role": "assistant", "content": text}, *USER]
    return found


def kinds(served: Any) -> list[list[str]]:
    return [[segment.kind for segment in trace.segments] for trace in served.talk.traces]


async def leave(served: Any, messages: Sequence[Any], asked: int, stream: bool) -> None:
    """Ask, and go away before the answer is there."""
    work = asyncio.create_task(chat(served, messages, stream=stream))
    while len(served.writer.asked) < asked:
        await asyncio.sleep(0.01)
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    while not served.writer.ended:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_left_may_ask_again_and_goes_on_in_the_same_trace(
    stream: bool, serve: Any
) -> None:
    served = serve("Hi", "lost", "Bye")
    await chat(served)
    served.writer.delay_s = 30.0
    await leave(served, said(served, "Hi"), 2, stream)
    assert kinds(served) == [["prompt", "sampled"]]
    served.writer.delay_s = 0.0
    answer = await chat(served, said(served, "Hi"))
    assert answer.choices[0].message.content == "Bye"
    assert kinds(served) == [["prompt", "sampled", "observed", "sampled"]]
    assert served.writer.asked[1] == served.writer.asked[2]


async def test_the_same_request_sent_twice_at_once_is_two_branches(serve: Any) -> None:
    served = serve("one", "two")
    first, second = await asyncio.gather(chat(served), chat(served))
    words = {one.choices[0].message.content for one in (first, second)}
    assert words == {"one", "two"}
    assert kinds(served) == [["prompt", "sampled"]] * 2


async def test_a_history_that_never_happened_is_all_prompt(serve: Any) -> None:
    served = serve("Hi", "Bye")
    await chat(served)
    await chat(served, said(served, "I never said that."))
    assert kinds(served) == [["prompt", "sampled"]] * 2
    invented = served.talk.traces[1].segments[0].tokens
    assert "I never said that." in served.writer.tokenizer.decode(invented)
    assert served.gateway.counts["gateway/branches"] == 1


async def test_a_history_that_goes_back_to_an_earlier_turn_branches_there(serve: Any) -> None:
    served = serve("Hi", "Bye", "Ciao")
    await chat(served)
    await chat(served, said(served, "Hi"))
    await chat(served, [*said(served, "Hi")[:-1], {"role": "user", "content": "Else"}])
    one, other = served.talk.traces
    assert kinds(served) == [["prompt", "sampled", "observed", "sampled"]] * 2
    assert one.segments[:2] == other.segments[:2]


async def test_a_tools_output_that_does_not_fit_is_refused_and_a_shorter_one_goes_on(
    serve: Any,
) -> None:
    served = serve(CALL, "It is 2.", context_length=300)
    first = (await chat(served, tools=[TOOL])).choices[0].message
    for length, fits in ((400, False), (2, True)):
        result = {"role": "tool", "tool_call_id": "1", "content": "2" * length}
        work = chat(served, [*USER, first, result], tools=[TOOL])
        if fits:
            await work
            continue
        with pytest.raises(openai.BadRequestError) as caught:
            await work
        assert caught.value.code == "context_length_exceeded"
        assert kinds(served) == [["prompt", "sampled"]]
    assert kinds(served) == [["prompt", "sampled", "observed", "sampled"]]


async def test_a_tools_output_of_megabytes_is_refused_before_it_is_rendered(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(CALL)
    first = (await chat(served, tools=[TOOL])).choices[0].message
    with monkeypatch.context() as patch:
        patch.delattr(Template, "text")
        result = {"role": "tool", "tool_call_id": "1", "content": "2" * 20_000_000}
        with pytest.raises(openai.BadRequestError, match="the conversation has at least 15384"):
            await chat(served, [*USER, first, result], tools=[TOOL])
        with pytest.raises(openai.BadRequestError, match="at least"):
            await served.client.completions.create(model="tiny", prompt="2" * 20_000_000)
    assert kinds(served) == [["prompt", "sampled"]]


async def test_a_tools_output_of_a_hundred_megabytes_is_no_request(serve: Any) -> None:
    served = serve("Hi")
    huge = [*USER, {"role": "tool", "tool_call_id": "1", "content": "2" * 100_000_000}]
    with pytest.raises(openai.APIStatusError) as caught:
        await chat(served, huge)
    assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")
    assert "Maximum request body size 33554432 exceeded" in caught.value.message
    base = served.url.removesuffix("/v1")
    async with anthropic.AsyncAnthropic(
        base_url=base, api_key=served.gateway.key, max_retries=0
    ) as client:
        with pytest.raises(anthropic.RequestTooLargeError):
            await client.messages.create(
                model="tiny",
                max_tokens=9,
                messages=[*huge[:1], {"role": "user", "content": "2" * 40_000_000}],
            )
    assert (served.talk.traces, served.gateway.counts["gateway/refused/request_too_large"]) == (
        [],
        2,
    )


async def test_a_call_with_half_a_character_is_told_as_text_that_can_be_sent(serve: Any) -> None:
    half = CALL.replace("1", '"\\ud83d"')
    served = serve(half, "Bye")
    first = (await chat(served, tools=[TOOL])).choices[0].message
    assert first.tool_calls[0].function.arguments == '{"a": "?"}'
    await chat(served, [*USER, first, *USER], tools=[TOOL])
    assert kinds(served) == [["prompt", "sampled", "observed", "sampled"]]


async def test_a_stop_string_is_in_the_trace_and_not_in_what_the_client_is_told(
    serve: Any,
) -> None:
    served = serve("Think. Observation:", "Done")
    first = await chat(served, stop=["\nStop", "Observation:"])
    assert first.choices[0].message.content == "Think. "
    assert first.choices[0].finish_reason == "stop"
    await chat(served, said(served, "Think. "))
    assert kinds(served) == [["prompt", "sampled", "observed", "sampled"]]
    said_it = served.talk.traces[0].segments[1].tokens
    assert served.writer.tokenizer.decode(said_it) == "Think. Observation:<|end|>"


async def test_text_that_goes_on_after_a_stop_string_observes_only_what_the_client_added(
    serve: Any,
) -> None:
    served = serve("Think. Observation:", "Done")
    call = served.client.completions.create
    first = await call(model="tiny", prompt="Q: ", stop="Observation:")
    assert first.choices[0].text == "Think. "
    await call(model="tiny", prompt="Q: Think. Observation: 42\n")
    (trace,) = served.talk.traces
    assert served.writer.tokenizer.decode(trace.segments[2].tokens) == " 42\n"


async def test_a_stop_string_in_an_answer_that_was_cut_off_stays(serve: Any) -> None:
    served = serve(([ord("a"), ord("b")], StopReason.LENGTH))
    whole = served.writer.tokenizer.decode([ord("a"), ord("b")])
    answer = await chat(served, stop=whole[1])
    assert answer.choices[0].message.content == whole


async def test_an_answer_that_new_weights_went_on_with_is_told_as_a_whole(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve("Hi", "Bye")
    words = served.writer.words("Hello")

    async def update(_: Any, trace: Any, __: Any) -> StopReason:
        trace.append_sampled(words[:2], [-0.5] * 2, 1)
        trace.append_sampled(words[2:], [-0.25] * 4, 2)
        return StopReason.STOP

    with monkeypatch.context() as patch:
        patch.setattr(type(served.writer), "generate", update)
        answer = await chat(served, logprobs=True)
    (choice,) = answer.choices
    assert (choice.message.content, answer.usage.completion_tokens) == ("Hello", 6)
    assert [one.logprob for one in choice.logprobs.content] == [-0.5] * 2 + [-0.25] * 4
    await chat(served, said(served, "Hello"))
    assert kinds(served) == [["prompt", "sampled", "sampled", "observed", "sampled"]]
