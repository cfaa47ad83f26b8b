"""What the model is told of a tool, and what becomes of a call that does not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import ConfigError, DataError
from slime_hookspecs.testing.kit import make_prompt
from slime_plugin_multi_turn_tools import Options
from slime_plugin_multi_turn_tools.sandbox import Isolation, Limits, probe
from slime_plugin_multi_turn_tools.tools import toolbox as module
from slime_plugin_multi_turn_tools.tools.tool import Parameter, Tool, ToolError, near
from slime_plugin_multi_turn_tools.tools.toolbox import Answer, Toolbox, sandbox, toolbox


async def echo(arguments: Mapping[str, Any]) -> str:
    """Say what was asked."""
    return json.dumps(dict(arguments))


EVERY = Tool(
    "every",
    "Takes one of each.",
    {
        "text": Parameter("string", "a text"),
        "count": Parameter("integer", "a count"),
        "size": Parameter("number", "a size"),
        "really": Parameter("boolean", "whether"),
    },
    echo,
)
GOOD = {"text": "a", "count": 1, "size": 1.5, "really": True}


def test_arguments_that_fit_are_read() -> None:
    assert EVERY.read(json.dumps(GOOD)) == GOOD
    assert EVERY.read(GOOD) == GOOD
    assert EVERY.read({**GOOD, "size": 2})["size"] == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("{", "the arguments are not JSON"),
        ("[" * 100_000, "the arguments are not JSON"),
        ("[]", "the arguments must be a JSON object"),
        ("null", "the arguments must be a JSON object"),
        ('"text"', "the arguments must be a JSON object"),
        (None, "the arguments must be a JSON object"),
        ("{}", "every needs the argument 'text'"),
        ({**GOOD, "text": None}, "the argument 'text' of every must be a string"),
        ({**GOOD, "text": ["a"]}, "the argument 'text' of every must be a string"),
        ({**GOOD, "count": 1.5}, "the argument 'count' of every must be a integer"),
        ({**GOOD, "count": True}, "the argument 'count' of every must be a integer"),
        ({**GOOD, "size": "1"}, "the argument 'size' of every must be a number"),
        ({**GOOD, "size": False}, "the argument 'size' of every must be a number"),
        ({**GOOD, "really": 1}, "the argument 'really' of every must be a boolean"),
        ({**GOOD, "sizes": 1}, "every has no argument 'sizes'; did you mean 'size'?"),
        ({**GOOD, "other": 1}, "every has no argument 'other'"),
    ],
)
def test_arguments_that_do_not_fit_are_told_why(arguments: Any, told: str) -> None:
    with pytest.raises(ToolError) as caught:
        EVERY.read(arguments)
    assert str(caught.value) == told


def test_every_parameter_is_in_the_schema_and_required() -> None:
    parameters = EVERY.schema["function"]["parameters"]
    assert parameters["required"] == ["text", "count", "size", "really"]
    assert {name: one["type"] for name, one in parameters["properties"].items()} == {
        "text": "string",
        "count": "integer",
        "size": "number",
        "really": "boolean",
    }


@pytest.mark.parametrize(
    ("name", "hint"), [("evry", "; did you mean 'every'?"), ("xyz", ""), ("", "")]
)
def test_a_misspelling_gets_the_nearest_name(name: str, hint: str) -> None:
    assert near(name, {"every": EVERY}) == hint


async def test_a_call_is_answered() -> None:
    box = Toolbox({"every": EVERY}, 1000)
    assert await box.answer("every", json.dumps(GOOD)) == Answer(json.dumps(GOOD))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("evry", "error: no tool 'evry' among every; did you mean 'every'?"),
        ("", "error: no tool '' among every"),
        ("every", "error: the arguments must be a JSON object"),
    ],
)
async def test_a_call_that_fails_is_answered_too(name: str, told: str) -> None:
    assert await Toolbox({"every": EVERY}, 1000).answer(name, "[]") == Answer(told, failed=True)


async def test_an_error_of_a_tools_own_code_is_not_the_models() -> None:
    async def broken(arguments: Mapping[str, Any]) -> str:
        raise LookupError("a bug")

    with pytest.raises(LookupError):
        await Toolbox({"broken": Tool("broken", "", {}, broken)}, 1000).answer("broken", "{}")


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("0123456789", 10, "0123456789"),
        ("0123456789", 9, "01234\n[... 1 characters left out ...]\n6789"),
        ("0123456789", 2, "0\n[... 8 characters left out ...]\n9"),
        ("0123456789", 1, "0\n[... 9 characters left out ...]\n"),
        ("", 1, ""),
    ],
)
async def test_an_answer_keeps_its_beginning_and_its_end(text: str, most: int, shown: str) -> None:
    async def say(arguments: Mapping[str, Any]) -> str:
        return text

    box = Toolbox({"say": Tool("say", "", {}, say)}, most)
    assert await box.answer("say", "{}") == Answer(shown)


@given(st.text(), st.integers(1, 50))
async def test_no_answer_is_much_longer_than_allowed(text: str, most: int) -> None:
    async def say(arguments: Mapping[str, Any]) -> str:
        raise ToolError(text)

    answer = await Toolbox({"say": Tool("say", "", {}, say)}, most).answer("say", "{}")
    assert answer.failed
    assert len(answer.text) <= max(most + 50, len("error: "))


def test_the_tools_are_those_that_the_options_name_in_their_order() -> None:
    box = toolbox(Options(tools=["python", "calculator"], require_isolation="rlimits"))
    assert list(box.tools) == ["python", "calculator"]
    assert [one["function"]["name"] for one in box.schemas(make_prompt())] == [
        "python",
        "calculator",
    ]


def test_a_prompt_may_name_tools_without_the_word_function_around_them() -> None:
    box = Toolbox({"every": EVERY}, 1000)
    schema = EVERY.schema["function"]
    assert box.schemas(make_prompt(tools=[schema])) == [schema]
    with pytest.raises(DataError, match="it offers the tool None, and there is every"):
        box.schemas(make_prompt(tools=[{}]))


def test_the_sandbox_is_as_the_options_say() -> None:
    made = sandbox(
        Options(
            require_isolation="rlimits",
            python_wall_s=1.5,
            python_cpu_s=2,
            python_memory_mb=128,
            python_processes=3,
            python_disk_mb=4,
            python_concurrency=5,
        )
    )
    assert made.limits == Limits(1.5, 2, 128, 3, 4)
    assert made.concurrency == 5
    assert sandbox(Options(require_isolation="rlimits")).concurrency >= 1


def test_a_sandbox_that_is_too_weak_is_refused_where_the_tool_is_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_strongest", probe.strongest)
    monkeypatch.setattr(probe, "works", lambda level, python: level is Isolation.RLIMITS)
    toolbox(Options())
    with pytest.raises(ConfigError, match="require_isolation is namespaces, and programs of"):
        toolbox(Options(tools=["python"]))
    made = sandbox(Options(tools=["python"], require_isolation="rlimits"))
    assert made.isolation is Isolation.RLIMITS
