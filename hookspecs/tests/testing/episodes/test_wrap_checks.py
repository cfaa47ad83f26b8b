"""The checks of wrappers catch a fault in whatever shape it comes, and say what it is."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import indent
from typing import Final

import pytest
from slime_hookspecs.testing import Outcome, Status

Catch = Callable[[str, str], Outcome]


def around_reward(body: str, more: str = "") -> str:
    """A plugin that wraps rewards so."""
    head = "@hookimpl\nasync def slime_wrap_reward(call_next, sample, ctx):\n"
    return f"{more}\n{head}{indent(body, '    ')}\n"


def around_generate(body: str, more: str = "") -> str:
    """A plugin that wraps generation so."""
    head = "@hookimpl\nasync def slime_wrap_generate(call_next, sample, engine, ctx):\n"
    return f"{more}\n{head}{indent(body, '    ')}\n"


PASS_ON: Final = "return await call_next(sample)"
PASS_ON_SAMPLE: Final = "return await call_next(sample, engine)"

#: Check, plugin, part of what it says.
CAUGHT: Final = {
    "a reward in words": (
        "wrap.right_type",
        around_reward("await call_next(sample)\nreturn '1.0'"),
        "slime_wrap_reward: around 0.0 it returned '1.0'; return a finite float or a Reward",
    ),
    "a reward that is no number": (
        "wrap.right_type",
        around_reward("await call_next(sample)\nreturn float('nan')"),
        "around 0.0 it returned nan",
    ),
    "whether it was right": (
        "wrap.right_type",
        around_reward("await call_next(sample)\nreturn True"),
        "around 0.0 it returned True",
    ),
    "no siblings at all": (
        "wrap.right_type",
        around_generate(
            "answer = await call_next(sample, engine)\n"
            "return [] if isinstance(answer, list) else answer"
        ),
        "slime_wrap_generate: around two siblings it returned []; return a sample or a list",
    ),
    "an exception on an aborted sample": (
        "wrap.every_answer",
        around_generate(
            "answer = await call_next(sample, engine)\n"
            "if sample.stop is StopReason.ABORTED:\n    raise RuntimeError('not finished')\n"
            "return answer"
        ),
        "slime_wrap_generate: around an aborted sample it raised RuntimeError: not finished",
    ),
    "reading the last token of an empty response": (
        "wrap.every_answer",
        around_generate(
            "answer = await call_next(sample, engine)\n"
            "sample.metadata['last'] = sample.trace.response_tokens[-2]\nreturn answer"
        ),
        "around an untouched trace it raised IndexError",
    ),
    "a metric of a plain float": (
        "wrap.every_answer",
        around_reward("value = await call_next(sample)\nreturn Reward(value.value)"),
        "around 0.0 it raised AttributeError: 'float' object has no attribute 'value'",
    ),
    "an error of the engine kept as a value": (
        "wrap.errors_pass",
        around_generate(
            "try:\n    return await call_next(sample, engine)\n"
            "except EngineError:\n    return sample"
        ),
        "what is inside raised EngineError, and it returned Sample(",
    ),
    "a time limit told as another error": (
        "wrap.errors_pass",
        around_reward(
            "try:\n    return await call_next(sample)\n"
            "except TimeoutError:\n    raise ValueError('too slow') from None"
        ),
        "what is inside raised TimeoutError, and it raised ValueError: too slow",
    ),
    "going on when cancelled": (
        "wrap.cancellation",
        around_reward(
            "try:\n    return await call_next(sample)\n"
            "except asyncio.CancelledError:\n    await asyncio.sleep(300)\n    raise"
        ),
        "slime_wrap_reward: cancelled, it went on; let CancelledError pass",
    ),
    "a cancellation told as an error": (
        "wrap.cancellation",
        around_reward(
            "try:\n    return await call_next(sample)\n"
            "except BaseException as error:\n    raise ValueError('stopped') from error"
        ),
        "cancelled, it ended with ValueError('stopped')",
    ),
    "the better of two": (
        "wrap.calls_once",
        around_reward(
            "one, two = await call_next(sample), await call_next(sample)\nreturn one or two"
        ),
        "slime_wrap_reward: it called call_next 2 times for one sample",
    ),
    "going on after an abort": (
        "wrap.calls_once",
        around_generate(
            "answer = await call_next(sample, engine)\n"
            "if sample.stop is StopReason.ABORTED:\n    return await call_next(sample, engine)\n"
            "return answer"
        ),
        "slime_wrap_generate: it called call_next 2 times",
    ),
    "a label that is overwritten": (
        "wrap.keeps_prompt",
        around_reward("sample.prompt.metadata['scored'] = True\n" + PASS_ON),
        "slime_wrap_reward: it changed sample.prompt",
    ),
    "a thread for each": (
        "wrap.leaves_nothing",
        around_generate(
            "import threading, time\n"
            "threading.Thread(target=time.sleep, args=(3,), name='spy').start()\n" + PASS_ON_SAMPLE
        ),
        "slime_wrap_generate: it left threads running: spy",
    ),
    "the sample of the moment": (
        "wrap.samples_do_not_mix",
        around_generate(
            "now['sample'] = sample\nawait call_next(sample, engine)\nreturn now['sample']",
            "now = {}",
        ),
        "beside others and",
    ),
}


@pytest.mark.parametrize("fault", CAUGHT)
def test_a_fault_is_caught_and_named(fault: str, catch: Catch) -> None:
    check, source, says = CAUGHT[fault]
    found = catch(check, source)
    assert (found.status, says in found.message) == (Status.FAILED, True), found.message


#: Check and a wrapper that may do what it does.
ALLOWED: Final = {
    "an answer of its own for a short response": (
        "wrap.errors_pass",
        around_reward("return 0.0"),
    ),
    "no call, so nothing to cancel": ("wrap.cancellation", around_reward("return 0.0")),
    "a note on an exception": (
        "wrap.errors_pass",
        around_reward(
            "try:\n    return await call_next(sample)\n"
            "except Exception as error:\n    error.add_note('here')\n    raise"
        ),
    ),
    "a subclass of the exception": (
        "wrap.errors_pass",
        around_reward(
            "try:\n    return await call_next(sample)\n"
            "except TimeoutError as error:\n    raise Late from error",
            "class Late(TimeoutError): ...",
        ),
    ),
    "a shorter response for the reward": (
        "wrap.calls_once",
        around_reward(
            "import dataclasses\n"
            "return await call_next(dataclasses.replace(sample, response=sample.response[-9:]))"
        ),
    ),
    "a task that is awaited": (
        "wrap.leaves_nothing",
        around_reward("return await asyncio.create_task(call_next(sample))"),
    ),
    "a task for all that follow": (
        "wrap.leaves_nothing",
        around_reward(
            "if not ticks or ticks[0].done():\n"
            "    ticks[:] = [asyncio.create_task(asyncio.sleep(9))]\n" + PASS_ON,
            "ticks = []",
        ),
    ),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_is_allowed_passes(case: str, catch: Catch) -> None:
    found = catch(*ALLOWED[case])
    assert found.status is Status.PASSED, found.message


def test_a_wrapper_that_never_works_is_reported_once(catch: Catch) -> None:
    source = around_reward("raise KeyError(1)")
    found = {name: catch(f"wrap.{name}", source) for name in ("every_answer", "errors_pass")}
    assert {name: one.status for name, one in found.items()} == {
        "every_answer": Status.FAILED,
        "errors_pass": Status.SKIPPED,
    }
    assert (
        found["errors_pass"].reason == "slime_wrap_reward raises, which wrap.every_answer reports"
    )


def test_a_wrapper_that_rolls_dice_is_not_called_mixed_up(catch: Catch) -> None:
    source = around_reward("return Reward(0.0, {'luck': float(next(n))})", "n = iter(range(9999))")
    assert catch("wrap.samples_do_not_mix", source).status is Status.SKIPPED
