"""A call that is asked for is forced in the model's own format, or refused with the reason."""

from __future__ import annotations

from typing import Any

import openai
import orjson
import pytest

from slime_core.engine import forced
from slime_core.engine.parsing import Parsers
from slime_core.engine.transport import RefusedError

USER = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA, **fields}}


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def tags(parser: str, name: str | None = None, several: bool = True, **fields: Any) -> Any:
    offered = [tool("add", **fields), tool("sub", **fields)]
    return orjson.loads(forced.parameters(parser, offered, name, several)["structural_tag"])


async def ask(served: Any, **fields: Any) -> Any:
    given = {"model": "tiny", "messages": USER, "tools": [tool("add"), tool("sub")]} | fields
    return await served.client.chat.completions.create(**given)


def test_any_of_the_tools_may_be_called_where_none_is_named() -> None:
    begins = [one["begin"] for one in tags("qwen25")["structures"]]
    assert [("add" in one, "sub" in one) for one in begins] == [(True, False), (False, True)]


def test_only_the_one_that_is_named_may_be_called() -> None:
    (one,) = tags("qwen25", "sub")["structures"]
    assert '"name":"sub"' in one["begin"]


def test_arguments_are_an_object_and_keep_to_the_schema_of_a_strict_tool() -> None:
    assert [one["schema"] for one in tags("qwen25")["structures"]] == [{"type": "object"}] * 2
    assert [one["schema"] for one in tags("qwen25", strict=True)["structures"]] == [SCHEMA] * 2


@pytest.mark.parametrize("parser", ["qwen25", "llama3", "mistral", "qwen3_coder", "kimi_k2"])
def test_a_call_is_the_end_where_only_one_is_wanted(parser: str) -> None:
    assert b'"stop_after_first":true' not in orjson.dumps(tags(parser))
    assert b'"stop_after_first":true' in orjson.dumps(tags(parser, several=False))


def test_a_format_without_a_grammar_is_refused() -> None:
    with pytest.raises(ValueError, match="no grammar for calls as 'pythonic' reads them"):
        tags("pythonic")


@pytest.mark.parametrize(("choice", "begins"), [("required", 2), (named("sub"), 1)])
async def test_a_forced_choice_reaches_the_servers_and_leaves_the_prompt_as_it_is(
    choice: Any, begins: int, serve: Any
) -> None:
    served = serve("Hi")
    await ask(served)
    await ask(served, tool_choice=choice)
    free, bound = served.writer.sampled
    assert free.extra == {}
    assert len(orjson.loads(bound.extra["structural_tag"])["structures"]) == begins
    assert served.writer.asked[0] == served.writer.asked[1]
    assert served.gateway.counts["gateway/forced_calls"] == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tool_choice": "always"}, "tool_choice is 'always'; served are auto, none, required"),
        ({"tool_choice": {"type": "custom"}}, "served are auto, none, required"),
        ({"tool_choice": "required", "tools": []}, "tool_choice forces a call; tools has []"),
        ({"tool_choice": named("mul")}, "forces a call of 'mul'; tools has ['add', 'sub']"),
        (
            {"tool_choice": "required", "response_format": {"type": "json_object"}},
            "leaves no room for json_schema",
        ),
        ({"tools": [{"type": "web_search"}]}, "tools[0] is no function"),
        ({"tools": [tool("add"), {"type": "function", "function": {}}]}, "tools[1] is no function"),
        ({"tools": [tool("add", parameters=[1])]}, "tools[0] is no function"),
    ],
)
async def test_a_choice_that_cannot_be_made_is_refused(
    fields: dict[str, Any], said: str, serve: Any
) -> None:
    served = serve("Hi")
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(served, **fields)
    assert said in caught.value.body["message"]
    assert served.writer.asked == []


@pytest.mark.parametrize(
    ("parsers", "said"),
    [
        (Parsers(), "--sglang-tool-call-parser"),
        (Parsers("pythonic"), "no grammar for calls as 'pythonic' reads them; served are 'auto'"),
    ],
)
async def test_a_model_whose_calls_have_no_known_grammar_is_not_forced(
    parsers: Parsers, said: str, serve: Any, gateway: Any
) -> None:
    served = serve("Hi")
    object.__setattr__(gateway._served, "parsers", parsers)
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(served, tool_choice="required")
    assert said in caught.value.body["message"]


async def test_a_model_that_thinks_first_is_not_forced(
    serve: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve("hm</think>Hi")
    opens = tokenizer.chat_template + "{% if think is not defined %}<think>\n{% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", opens)
    monkeypatch.setattr(served.talk, "_parsers", Parsers("qwen25", "qwen3"))
    with pytest.raises(openai.BadRequestError, match="the prompt has the model think first"):
        await ask(served, tool_choice="required")
    assert served.writer.asked == []
    without = {"chat_template_kwargs": {"think": False}}
    await ask(served, tool_choice="required", extra_body=without)
    answer = await ask(served)
    assert answer.choices[0].message.content == "Hi"


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("Grammar-based generation is not supported ... --grammar-backend none", "xgrammar"),
        ("Failed to compile json grammar: Type should be a string", "Type should be a string"),
    ],
)
async def test_what_a_server_refuses_is_the_clients_mistake_and_not_tried_again(
    reason: str, said: str, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve("Hi")

    async def refuse(*_: Any) -> None:
        raise RefusedError("POST http://127.0.0.1:9/generate: status 400", reason)

    monkeypatch.setattr(type(served.writer), "generate", refuse)
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(served)
    assert said in caught.value.body["message"]
    assert "127.0.0.1" not in str(caught.value)
