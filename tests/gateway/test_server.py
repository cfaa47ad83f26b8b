"""Unmodified OpenAI clients are served, and whoever asks for what there is not is told so."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import aiohttp
import openai
import pytest

USER = [{"role": "user", "content": "Hello"}]
CALL = 'Look. <tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
STRICT = {"type": "function", "function": {**TOOL["function"], "strict": True}}


async def test_the_models_list_names_the_one_that_is_trained(serve: Any) -> None:
    found = await serve("Hi").client.models.list()
    assert [(one.id, one.owned_by) for one in found.data] == [("tiny", "slime")]


async def test_a_chat_is_answered_with_usage_and_logprobs(serve: Any) -> None:
    served = serve("Hi")
    answer = await served.client.chat.completions.create(
        model="tiny", messages=USER, logprobs=True, temperature=0.5, max_completion_tokens=9
    )
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("Hi", "stop")
    assert [one.token for one in choice.logprobs.content] == ["H", "i", "<|end|>"]
    assert {one.logprob for one in choice.logprobs.content} == {-0.25}
    given = len(served.writer.asked[0])
    assert answer.usage.model_dump(include={"prompt_tokens", "completion_tokens"}) == {
        "prompt_tokens": given,
        "completion_tokens": 3,
    }
    (sampling,) = served.writer.sampled
    assert (sampling.temperature, sampling.max_new_tokens, sampling.top_p) == (0.5, 9, None)


async def test_several_answers_come_as_choices(serve: Any) -> None:
    answer = await serve("a", "b").client.chat.completions.create(model="tiny", messages=USER, n=2)
    assert [one.message.content for one in answer.choices] == ["a", "b"]


async def test_a_tool_loop_of_an_unmodified_client_is_one_trace(serve: Any) -> None:
    served = serve(CALL, "It is 2.")
    history: list[Any] = list(USER)
    first = await served.client.chat.completions.create(
        model="tiny", messages=history, tools=[TOOL]
    )
    message = first.choices[0].message
    assert (first.choices[0].finish_reason, message.content) == ("tool_calls", "Look.")
    (call,) = message.tool_calls
    assert (call.function.name, call.function.arguments) == ("add", '{"a": 1}')
    history += [message, {"role": "tool", "tool_call_id": call.id, "content": "2"}]
    last = await served.client.chat.completions.create(model="tiny", messages=history, tools=[TOOL])
    assert last.choices[0].message.content == "It is 2."
    (trace,) = served.talk.traces
    assert [s.kind for s in trace.segments] == ["prompt", "sampled", "observed", "sampled"]


async def test_a_stream_puts_together_to_the_same_answer(serve: Any) -> None:
    long = "word " * 50
    served = serve(long)
    stream = await served.client.chat.completions.create(
        model="tiny", messages=USER, stream=True, stream_options={"include_usage": True}
    )
    events = [event async for event in stream]
    text = "".join(e.choices[0].delta.content or "" for e in events if e.choices)
    assert text == long
    assert [e.choices[0].finish_reason for e in events if e.choices][-1] == "stop"
    assert events[-1].usage.completion_tokens == len(served.writer.words(long))
    assert len({event.id for event in events}) == 1


async def test_a_streamed_tool_call_is_whole_for_the_client(serve: Any) -> None:
    served = serve(CALL, "done")
    async with served.client.chat.completions.stream(
        model="tiny", messages=USER, tools=[STRICT]
    ) as stream:
        final = await stream.get_final_completion()
    message = final.choices[0].message
    assert message.tool_calls[0].function.arguments == '{"a": 1}'
    history = [*USER, message, {"role": "tool", "content": "2", "tool_call_id": "x"}]
    await served.client.chat.completions.create(model="tiny", messages=history, tools=[STRICT])
    assert len(served.talk.traces) == 1


async def test_a_client_without_async_is_served_from_its_own_thread(serve: Any) -> None:
    served = serve("Hi")
    found: list[str] = []

    def work() -> None:
        with openai.OpenAI(base_url=served.url, api_key=served.gateway.key) as client:
            answer = client.chat.completions.create(model="tiny", messages=USER)
            found.append(str(answer.choices[0].message.content))

    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert found == ["Hi"]


async def test_text_completions_are_served_plain_and_streamed(serve: Any) -> None:
    served = serve("two", "four")
    plain = await served.client.completions.create(model="tiny", prompt="one ", logprobs=0)
    assert (plain.choices[0].text, plain.choices[0].finish_reason) == ("two", "stop")
    assert plain.choices[0].logprobs.text_offset == [0, 1, 2, 3]
    stream = await served.client.completions.create(
        model="tiny", prompt="one two three ", stream=True
    )
    assert "".join([event.choices[0].text async for event in stream]) == "four"
    assert len(served.talk.traces) == 1


async def test_samples_side_by_side_do_not_meet(serve: Any) -> None:
    one, two = serve("mine"), serve("yours")
    answers = await asyncio.gather(
        *(
            s.client.chat.completions.create(model="tiny", messages=USER)
            for s in (one, two, one, two)
        )
    )
    assert [a.choices[0].message.content for a in answers] == ["mine", "yours"] * 2
    assert [len(s.talk.traces) for s in (one, two)] == [2, 2]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{not json", 400, "the body is not JSON"),
        (b"[]", 400, "body: Expected `object`, got `array`"),
        ({"model": "tiny"}, 400, "missing required field `messages`"),
        ({"messages": []}, 400, "messages is empty"),
        ({"messages": [{"content": "x"}]}, 400, "messages[0].role is None"),
        ({"messages": [{"role": "boss", "content": "x"}]}, 400, "messages[0].role is 'boss'"),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "content is int"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            400,
            "a part of type 'image_url'; only text is served",
        ),
        ({"messages": [{"role": "assistant", "tool_calls": [1]}]}, 400, "no function call"),
        ({"messages": USER, "n": 0}, 400, "n is 0"),
        ({"messages": USER, "max_tokens": "many"}, 400, "max_tokens: Expected `int"),
        ({"messages": USER, "temperature": -1}, 400, "temperature is -1"),
        ({"messages": USER, "tool_choice": "required"}, 400, "tool_choice forces a call"),
        ({"messages": USER, "response_format": {"type": "xml"}}, 400, "response_format is 'xml'"),
        ({"messages": USER, "model": "gpt-9"}, 404, "'gpt-9' does not exist"),
    ],
)
async def test_a_bad_chat_request_is_refused_with_what_would_be_right(
    body: Any, status: int, said: str, serve: Any
) -> None:
    served = serve("Hi")
    found, answer = await served.post("/chat/completions", body)
    assert (found, said in answer["error"]["message"]) == (status, True), answer
    assert answer["error"]["type"] == "invalid_request_error"
    assert sum(served.gateway.counts.values()) == 1
    assert served.writer.asked == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": ["a", "b"]}, "one prompt a request"),
        ({"prompt": "a", "echo": True}, "echo is not served"),
        ({"prompt": "a", "suffix": "b"}, "suffix is not served"),
    ],
)
async def test_a_bad_completion_request_is_refused(body: Any, said: str, serve: Any) -> None:
    status, answer = await serve("Hi").post("/completions", body)
    assert (status, said in answer["error"]["message"]) == (400, True)


@pytest.mark.parametrize("key", ["", "sk-other"])
async def test_a_wrong_key_is_refused(key: str, serve: Any) -> None:
    served = serve("Hi")
    status, answer = await served.post("/chat/completions", {"messages": USER}, key=key)
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")


async def test_a_path_that_is_not_there_is_refused_as_json(serve: Any) -> None:
    status, answer = await serve("Hi").post("/embeddings", {})
    assert (status, answer["error"]["message"][:5]) == (404, "POST ")


async def test_a_sample_that_is_over_is_not_found(serve: Any) -> None:
    served = serve("Hi")
    served.talk = None
    status, answer = await served.post("/chat/completions", {"messages": USER})
    assert (status, answer["error"]["code"]) == (404, "session_not_found")


async def test_a_context_overflow_is_said_in_the_openai_way(
    serve: Any,
) -> None:
    served = serve("Hi", context_length=40)
    long = [*USER, {"role": "user", "content": "x" * 60}]
    with pytest.raises(openai.BadRequestError) as caught:
        await served.client.chat.completions.create(model="tiny", messages=long)
    assert caught.value.code == "context_length_exceeded"
    assert served.gateway.counts["gateway/refused/context_length_exceeded"] == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_its_request(stream: bool, serve: Any) -> None:
    served = serve("Hi", delay_s=30.0)
    work = asyncio.create_task(
        served.client.chat.completions.create(model="tiny", messages=USER, stream=stream)
    )
    while not served.writer.asked:
        await asyncio.sleep(0.01)
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    for _ in range(500):
        if served.writer.ended:
            break
        await asyncio.sleep(0.01)
    assert served.writer.ended == ["cancelled"]
    assert served.talk.traces == []


async def test_an_answer_that_takes_long_keeps_its_stream_alive(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slime_core.gateway.stream.KEEP_ALIVE_S", 0.02)
    served = serve("Hi", delay_s=0.2)
    headers = {"Authorization": f"Bearer {served.gateway.key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(
            f"{served.url}/chat/completions", json={"messages": USER, "stream": True}
        ) as answer,
    ):
        content = (await answer.read()).decode()
    assert content.count(": waiting") >= 2
    assert content.endswith("data: [DONE]\n\n")


async def test_an_engine_that_fails_is_a_server_error_that_clients_retry(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slime_hookspecs import EngineError

    served = serve("Hi")

    async def fail(*_: Any) -> None:
        raise EngineError("no server answered")

    monkeypatch.setattr(type(served.writer), "generate", fail)
    with pytest.raises(openai.InternalServerError, match="no server answered"):
        await served.client.chat.completions.create(model="tiny", messages=USER)
