"""A bound hook is called with all of the contract's arguments and passes on what it names."""

from __future__ import annotations

import inspect
import itertools
import traceback
from typing import Any

import pytest
from slime_hookspecs import HOOKS

from slime_core.plugins import note
from slime_core.plugins.bound import adapt
from slime_core.plugins.verify import Implementation


def implementation(hook: str, function: Any) -> Implementation:
    info = HOOKS[hook]
    positions = tuple(
        info.parameters.index(name) for name in inspect.signature(function).parameters
    )
    return Implementation(info, function, positions, inspect.iscoroutinefunction(function))


def all_of_it(sample: Any, ctx: Any) -> Any:
    return sample, ctx


def none_of_it() -> str:
    return "called"


def last_first(ctx: Any, sample: Any) -> Any:
    return ctx, sample


def only_ctx(ctx: Any) -> Any:
    return ctx


async def only_engine(engine: Any) -> Any:
    return engine


def test_a_function_that_takes_everything_in_order_is_called_directly() -> None:
    assert adapt(implementation("slime_reward", all_of_it)) is all_of_it


@pytest.mark.parametrize(
    ("function", "answer"), [(none_of_it, "called"), (last_first, ("c", "s")), (only_ctx, "c")]
)
def test_a_function_gets_the_arguments_that_it_names(function: Any, answer: Any) -> None:
    assert adapt(implementation("slime_reward", function))("s", "c") == answer


@pytest.mark.parametrize("hook", HOOKS)
def test_any_choice_of_arguments_in_any_order_is_filled(hook: str) -> None:
    offered = HOOKS[hook].parameters
    values = {name: f"the {name}" for name in offered}
    choices = [
        names
        for count in range(len(offered) + 1)
        for names in itertools.permutations(offered, count)
    ]
    for names in choices:
        function: Any = eval(f"lambda {', '.join(names)}: locals()")
        assert adapt(implementation(hook, function))(*values.values()) == {
            name: values[name] for name in names
        }


async def test_what_a_coroutine_function_answers_can_be_awaited() -> None:
    call = adapt(implementation("slime_generate", only_engine))
    assert await call("sample", "engine", "ctx") == "engine"


def test_a_traceback_shows_the_plugins_function_and_whose_arguments_were_passed_on() -> None:
    def broken(ctx: Any) -> Any:
        raise ValueError(ctx)

    with pytest.raises(ValueError, match=r"^c$") as caught:
        adapt(implementation("slime_reward", broken))("s", "c")
    frames = traceback.extract_tb(caught.value.__traceback__)[1:]
    assert [(frame.filename, frame.name) for frame in frames] == [
        ("<arguments of slime_reward>", "<lambda>"),
        (__file__, "broken"),
    ]


def test_a_note_names_plugin_hook_and_subject_and_keeps_the_type() -> None:
    error = ZeroDivisionError("division by zero")
    note(error, "maths", "slime_reward", "sample 7")
    assert error.__notes__ == ["in plugin maths, hook slime_reward, sample 7"]
    assert traceback.format_exception(error) == [
        "ZeroDivisionError: division by zero\n",
        "in plugin maths, hook slime_reward, sample 7\n",
    ]
