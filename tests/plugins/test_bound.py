"""A bound hook is called with all of the contract's arguments and passes on what it names."""

from __future__ import annotations

import inspect
import pickle
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


async def test_a_coroutine_function_stays_one() -> None:
    call = adapt(implementation("slime_generate", only_engine))
    assert inspect.iscoroutinefunction(call)
    assert await call("sample", "engine", "ctx") == "engine"


@pytest.mark.parametrize("function", [only_ctx, last_first])
def test_what_adapts_can_be_sent_to_another_process(function: Any) -> None:
    call = adapt(implementation("slime_reward", function))
    assert pickle.loads(pickle.dumps(call))("s", "c") == function(
        **{name: name[0] for name in inspect.signature(function).parameters}
    )


def test_a_note_names_plugin_hook_and_subject_and_keeps_the_type() -> None:
    error = ZeroDivisionError("division by zero")
    note(error, "maths", "slime_reward", "sample 7")
    assert error.__notes__ == ["in plugin maths, hook slime_reward, sample 7"]
    assert traceback.format_exception(error) == [
        "ZeroDivisionError: division by zero\n",
        "in plugin maths, hook slime_reward, sample 7\n",
    ]
