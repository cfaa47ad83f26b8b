"""A call that is asked for is forced in the model's own format, or refused with the reason."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from xgrammar import Grammar
from xgrammar.testing import _is_grammar_accept_string

from slime_core.engine import forced
from slime_core.engine.parsing import Parsers
from slime_core.engine.transport import RefusedError

USER = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA, **fields}}


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def accepts(text: str, parser: str = "qwen25", name: str | None = None, **fields: Any) -> bool:
    """Whether the grammar of a forced call lets a model write this."""
    several = fields.pop("several", True)
    offered = [tool("add", **fields), tool("sub", **fields)]
    (ebnf,) = forced.parameters(parser, offered, name, several).values()
    found: bool = _is_grammar_accept_string(Grammar.from_ebnf(ebnf), text)
    return found


def call(name: str, arguments: str = '{"a":1}') -> str:
    """A call as models of the Qwen family write it."""
    return f'<tool_call>\n{{"name":"{name}", "arguments":{arguments}}}\n</tool_call>'


async def ask(served: Any, **fields: Any) -> Any:
    given = {"model": "tiny", "messages": USER, "tools": [tool("add"), tool("sub")]} | fields
    return await served.client.chat.completions.create(**given)


@pytest.mark.parametrize("text", ["", "Hi", call("mul"), "Hi" + call("add"), call("add")[:-3]])
def test_the_model_can_write_nothing_but_a_call(text: str) -> None:
    assert not accepts(text)


def test_any_of_the_tools_may_be_called_where_none_is_named() -> None:
    assert accepts(call("add"))
    assert accepts(call("sub"))


def test_only_the_one_that_is_named_may_be_called() -> None:
    assert accepts(call("sub"), name="sub")
    assert not accepts(call("add"), name="sub")


@pytest.mark.parametrize("strict", [True, False])
def test_arguments_keep_to_the_schema(strict: bool) -> None:
    assert accepts(call("add", '{"a":1}'), strict=strict)
    assert not accepts(call("add", '{"b":"x"}'), strict=strict)
    assert not accepts(call("add", "[1]"), strict=strict)


def test_a_schema_that_has_no_grammar_is_left_out_unless_the_tool_is_strict() -> None:
    wrong = {"parameters": {"type": "unheard of"}}
    assert accepts(call("add", '{"b":"x"}'), **wrong)
    assert not accepts(call("add", "[1]"), **wrong)
    with pytest.raises(ValueError, match="no grammar for the schemas of these tools"):
        accepts("", strict=True, **wrong)


def test_a_call_is_the_end_where_only_one_is_wanted() -> None:
    both = call("add") + "\n" + call("sub")
    assert accepts(both)
    assert not accepts(both, several=False)
    assert accepts(call("add"), several=False)


@pytest.mark.parametrize("parser", ["qwen25", "llama3", "mistral", "qwen3_coder", "kimi_k2"])
def test_each_format_has_a_grammar_that_leaves_no_way_round_a_call(parser: str) -> None:
    for several in (True, False):
        assert not accepts("", parser, several=several)
        assert not accepts("I'd rather not.", parser, several=several)


def test_a_format_without_a_grammar_is_refused() -> None:
    with pytest.raises(ValueError, match="no grammar for calls as 'pythonic' reads them"):
        accepts("", "pythonic")


@pytest.mark.parametrize(("choice", "names"), [("required", "add sub"), (named("sub"), "sub")])
async def test_a_forced_choice_reaches_the_servers_and_leaves_the_prompt_as_it_is(
    choice: Any, names: str, serve: Any
) -> None:
    served = serve("Hi")
    await ask(served)
    await ask(served, tool_choice=choice)
    free, bound = served.writer.sampled
    assert free.extra == {}
    grammar = Grammar.from_ebnf(bound.extra["ebnf"])
    may = [n for n in ("add", "sub") if _is_grammar_accept_string(grammar, call(n))]
    assert may == names.split()
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
