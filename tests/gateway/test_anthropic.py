"""Unmodified Anthropic clients are served from the same conversations as OpenAI's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import orjson
import pytest
from slime_hookspecs import EngineError, StopReason

from slime_core.engine.parsing import Parsers
from slime_core.gateway.anthropic_messages import normal

USER = [{"role": "user", "content": "Hello"}]
CALL = 'Look. <tool_call>\n{"name": "add", "arguments": {"a": 1, "b": "é"}}\n</tool_call>'
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
TOOL = {"name": "add", "description": "Adds.", "input_schema": SCHEMA}


@pytest.fixture
async def claude(serve: Any) -> AsyncIterator[Any]:
    """``claude(served)`` is Anthropic's client of a sample."""
    opened: list[anthropic.AsyncAnthropic] = []

    def make(served: Any, **changes: Any) -> anthropic.AsyncAnthropic:
        url = served.url.removesuffix("/v1")
        given = {"base_url": url, "api_key": served.gateway.key, "max_retries": 0} | changes
        opened.append(anthropic.AsyncAnthropic(**given))
        return opened[-1]

    yield make
    for one in opened:
        await one.close()


async def say(client: Any, messages: Any = USER, **fields: Any) -> Any:
    given = {"model": "tiny", "max_tokens": 99, "messages": messages} | fields
    return await client.messages.create(**given)


async def test_a_message_is_answered_with_its_usage(serve: Any, claude: Any) -> None:
    served = serve("Hi")
    fields = {"temperature": 0.5, "top_p": 0.9, "top_k": 7}
    answer = await say(claude(served), system="Be brief.", max_tokens=9, extra_body=fields)
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", "tiny")
    assert [(block.type, block.text) for block in answer.content] == [("text", "Hi")]
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert answer.usage.input_tokens == len(served.writer.asked[0])
    assert answer.usage.output_tokens == 3
    whole = "<|system|>Be brief.<|end|>\n<|user|>Hello<|end|>\n<|assistant|>"
    assert served.writer.tokenizer.decode(served.writer.asked[0]) == whole
    (sampling,) = served.writer.sampled
    assert (sampling.max_new_tokens, sampling.temperature) == (9, 0.5)
    assert (sampling.top_p, sampling.top_k) == (0.9, 7)


async def test_a_tool_loop_is_one_trace_of_what_was_sampled(serve: Any, claude: Any) -> None:
    served = serve(CALL, "It is 2.")
    client = claude(served)
    first = await say(client, tools=[TOOL])
    assert first.stop_reason == "tool_use"
    text, call = first.content
    assert (text.text, call.type, call.name) == ("Look.", "tool_use", "add")
    assert call.input == {"a": 1, "b": "é"}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "2"}
    more = {"type": "text", "text": "Well?"}
    history = [*USER, {"role": "assistant", "content": first.content}]
    last = await say(client, [*history, {"role": "user", "content": [result, more]}], tools=[TOOL])
    assert last.content[0].text == "It is 2."
    (trace,) = served.talk.traces
    assert [s.kind for s in trace.segments] == ["prompt", "sampled", "observed", "sampled"]
    assert trace.segments[1].tokens == tuple(served.writer.words(CALL))
    added = served.writer.tokenizer.decode(trace.segments[2].tokens)
    assert added == "\n<|tool|>2<|end|>\n<|user|>Well?<|end|>\n<|assistant|>"


async def test_the_tools_are_rendered_as_those_of_openai_are(serve: Any, claude: Any) -> None:
    served = serve("Hi")
    await say(claude(served), tools=[TOOL])
    function = {"name": "add", "description": "Adds.", "parameters": SCHEMA}
    await served.client.chat.completions.create(
        model="tiny", messages=USER, tools=[{"type": "function", "function": function}]
    )
    one, other = (served.writer.tokenizer.decode(asked) for asked in served.writer.asked)
    assert one == other
    assert "Adds." in one


async def test_a_conversation_may_change_the_api_in_the_middle(serve: Any, claude: Any) -> None:
    served = serve("Hi", "Bye")
    first = await say(claude(served))
    history = [*USER, {"role": "assistant", "content": first.content[0].text}, *USER]
    await served.client.chat.completions.create(model="tiny", messages=history)
    assert len(served.talk.traces) == 1


@pytest.mark.parametrize("script", ["word " * 50, CALL, ""])
async def test_a_stream_puts_together_to_the_whole_message(
    script: str, serve: Any, claude: Any
) -> None:
    client = claude(serve(script))
    whole = await say(client, tools=[TOOL])
    given: dict[str, Any] = {"model": "tiny", "max_tokens": 99, "messages": USER, "tools": [TOOL]}
    async with client.messages.stream(**given) as stream:
        kinds = [event.type async for event in stream]
        streamed = await stream.get_final_message()
    own = {"id": True, "content": {"__all__": {"id"}}}
    assert streamed.model_dump(exclude=own) == whole.model_dump(exclude=own)
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


async def test_raw_events_come_in_the_order_that_the_api_promises(serve: Any, claude: Any) -> None:
    stream = await say(claude(serve(CALL)), tools=[TOOL], stream=True)
    kinds = [(event.type, getattr(event, "index", None)) async for event in stream]
    assert kinds == [
        ("message_start", None),
        *[(f"content_block_{what}", 0) for what in ("start", "delta", "stop")],
        *[(f"content_block_{what}", 1) for what in ("start", "delta", "stop")],
        ("message_delta", None),
        ("message_stop", None),
    ]


async def test_reasoning_is_a_block_that_may_be_sent_back_or_left_out(
    serve: Any, claude: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve("<think>hm</think>Hi", "Bye")
    monkeypatch.setattr(served.talk, "_parsers", Parsers(reasoning="qwen3"))
    first = await say(claude(served))
    assert [block.type for block in first.content] == ["thinking", "text"]
    assert first.content[0].thinking == "hm"
    for content in (first.content, first.content[1:]):
        await say(claude(served), [*USER, {"role": "assistant", "content": content}, *USER])
    assert [len(trace.segments) for trace in served.talk.traces] == [4, 4]


@pytest.mark.parametrize(
    ("script", "said", "reason", "sequence"),
    [
        ("one END", "one ", "stop_sequence", "END"),
        ("one", "one", "end_turn", None),
        (([72, 73], StopReason.LENGTH), "ab", "max_tokens", None),
        (([72, 73], StopReason.CONTEXT), "ab", "model_context_window_exceeded", None),
    ],
)
async def test_the_reason_of_the_end_is_told(
    script: Any, said: str, reason: str, sequence: str | None, serve: Any, claude: Any
) -> None:
    served = serve(script)
    answer = await say(claude(served), stop_sequences=["STOP", "END"])
    assert [block.text for block in answer.content] == [said]
    assert (answer.stop_reason, answer.stop_sequence) == (reason, sequence)
    assert served.writer.sampled[0].stop == ["STOP", "END"]
    (trace,) = served.talk.traces
    assert trace.sampled_length == answer.usage.output_tokens


async def test_counting_tokens_writes_nothing_and_tells_what_a_message_would_be_asked_with(
    serve: Any, claude: Any
) -> None:
    served = serve(CALL, "done")
    client = claude(served)
    first = await say(client, tools=[TOOL])
    history = [*USER, {"role": "assistant", "content": first.content}, *USER]
    counted = await client.messages.count_tokens(model="tiny", messages=history, tools=[TOOL])
    assert (len(served.writer.asked), dict(served.gateway.counts)) == (1, {"gateway/turns": 1})
    last = await say(client, history, tools=[TOOL])
    assert counted.input_tokens == last.usage.input_tokens == len(served.writer.asked[1])


async def test_both_ways_of_sending_the_key_and_both_base_urls_are_served(
    serve: Any, claude: Any
) -> None:
    served = serve("Hi")
    for changes in (
        {"base_url": served.url},
        {"api_key": None, "auth_token": served.gateway.key},
        {"default_headers": {"x-api-key": served.gateway.key, "Authorization": "Bearer other"}},
    ):
        answer = await say(claude(served, **changes))
        assert answer.content[0].text == "Hi"


async def test_the_list_of_models_has_the_shape_of_the_api(serve: Any, claude: Any) -> None:
    found = await claude(serve("Hi")).models.list()
    assert [(one.id, one.type) for one in found.data] == [("tiny", "model")]


async def test_a_schema_of_the_answer_reaches_the_servers(serve: Any, claude: Any) -> None:
    served = serve("{}")
    await say(claude(served), output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    (sampling,) = served.writer.sampled
    assert orjson.loads(sampling.extra["json_schema"]) == SCHEMA


BLOCK = {"type": "image", "source": {}}
BAD = [
    ({"messages": []}, "messages is empty"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role is 'tool'"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content is int"),
    ({"messages": [{"role": "user", "content": [BLOCK]}]}, "messages[0].content[0] is a block"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "of type 'str'"),
    ({"messages": [*USER, {"role": "assistant", "content": [BLOCK]}, *USER]}, "messages[1]"),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "1", "content": [BLOCK]}],
                }
            ]
        },
        "messages[0].content[0].content[0] is a block of type 'image'",
    ),
    ({"system": [BLOCK]}, "system[0] is a block of type 'image'"),
    ({"messages": [*USER, {"role": "assistant", "content": "He"}]}, "the last message is the ass"),
    ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools[0] ('web_search_20250305')"),
    ({"tool_choice": {"type": "perhaps"}}, "its type must be auto, any, none"),
    ({"tool_choice": {"type": "any"}}, "tool_choice forces a call; tools has []"),
    ({"tool_choice": {"type": "tool", "name": "sub"}, "tools": [TOOL]}, "forces a call of 'sub'"),
    ({"output_config": {"format": {"type": "xml"}}}, "output_config.format is {'type': 'xml'}"),
    ({"max_tokens": 0}, "max_tokens is 0"),
    ({"extra_body": {"temperature": -1}}, "temperature is -1"),
]


@pytest.mark.parametrize(("fields", "said"), BAD)
async def test_a_bad_request_is_refused_with_what_would_be_right(
    fields: dict[str, Any], said: str, serve: Any, claude: Any
) -> None:
    served = serve("Hi")
    with pytest.raises(anthropic.BadRequestError) as caught:
        await say(claude(served), **fields)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert said in body["error"]["message"]
    assert (served.writer.asked, sum(served.gateway.counts.values())) == ([], 1)


async def test_who_may_not_or_asks_for_what_there_is_not_gets_the_error_of_the_api(
    serve: Any, claude: Any
) -> None:
    served = serve("Hi")
    with pytest.raises(anthropic.AuthenticationError, match="wrong API key"):
        await say(claude(served, api_key="other"))
    with pytest.raises(anthropic.NotFoundError, match="'claude-9' does not exist"):
        await say(claude(served), model="claude-9")
    with pytest.raises(anthropic.NotFoundError, match="not_found_error"):
        await claude(served).models.retrieve("tiny")
    served.talk = None
    with pytest.raises(anthropic.NotFoundError, match="this sample is over"):
        await say(claude(served))


async def test_a_conversation_that_does_not_fit_is_told_in_words_that_clients_know(
    serve: Any, claude: Any
) -> None:
    served = serve("Hi", context_length=20)
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: .* 20 tokens"):
        await say(claude(served), [{"role": "user", "content": "x" * 19}])


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_fails_is_a_server_error(
    stream: bool, serve: Any, claude: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve("Hi")

    async def fail(*_: Any) -> None:
        raise EngineError("no server answered")

    monkeypatch.setattr(type(served.writer), "generate", fail)
    with pytest.raises(anthropic.InternalServerError, match="no server answered"):
        await say(claude(served), stream=stream)


def test_what_failed_is_marked_and_unread_blocks_are_left_out() -> None:
    result = {"type": "tool_result", "tool_use_id": "1", "is_error": True}
    found = normal(
        [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        [
            {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]},
            {"role": "user", "content": [{"type": "text", "text": "a"}, result]},
            {"role": "user", "content": []},
        ],
    )
    assert found == [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "a"},
        {"role": "tool", "tool_call_id": "1", "content": "", "is_error": True},
        {"role": "user", "content": ""},
    ]
