"""A check that reports an exception says in which line of the plugin it was raised."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from slime_hookspecs import DataError, PluginError
from slime_hookspecs.testing import Subject, run
from slime_hookspecs.testing.raised import ChildDied, ChildRaised, mistake, told, uncaught
from slime_hookspecs.testing.runner import Finding, perform

Open = Callable[[str], Subject]

SUM: Final = 'Prompt("sum", [{"role": "user", "content": "2+2="}], label="4")'
#: The line that raises is the one that says so.
FAIL: Final = """
def fail():
    raise KeyError("x")  # here

def fail_where_ctx_has_no_step():
    raise KeyError("x")
"""
GENERATE: Final = """
@hookimpl
async def slime_generate(sample, engine, ctx):
    begin(sample, engine)
    {before}
    sample.stop = await engine.generate(sample.trace)
    {after}
    return sample
"""
REWARD: Final = "\n@hookimpl\ndef slime_reward(sample, ctx):\n    return {}\n"
SOURCE: Final = """
class Source:
    def __init__(self):
        self.number = 0
    def take(self, count):
        {take}
        numbers = range(self.number, self.number + count)
        self.number += count
        return [Prompt(str(n % 5), [{{"role": "user", "content": "?"}}], n % 5) for n in numbers]
    def state(self):
        return {{"number": self.number}}
    def restore(self, state):
        self.number = state["number"]

@hookimpl
def slime_data_source(run):
    {opening}
    return Source()
"""
#: Only a process that did not make the prompts meets this one.
ELSEWHERE: Final = """
import os
HOME = os.environ.setdefault("OWN_HOME", str(os.getpid()))

def fail_elsewhere():
    if HOME != str(os.getpid()):
        fail()
"""


def generate(before: str = "pass", after: str = "pass") -> str:
    return GENERATE.format(before=before, after=after)


def source(take: str = "pass", opening: str = "pass") -> str:
    return SOURCE.format(take=take, opening=opening)


#: Check and plugin. Its hooks fail in the check's way, all in the one line.
FAILING: Final = {
    "reward.finite": REWARD.format("fail()"),
    "reward.pathological": REWARD.format("fail() if len(sample.response) > 999 else 1.0"),
    "reward.malformed_label": REWARD.format("1.0 if sample.prompt.label == '4' else fail()")
    + f"@hookimpl\ndef slime_conformance():\n    return conformance(gold=[({SUM}, '4')], "
    "reward_range=(0.0, 1.0))\n",
    "filter.total": "@hookimpl\ndef slime_filter(group):\n    fail()\n",
    "advantage.one_per_scored_sample": "@hookimpl\ndef slime_advantage(group):\n    fail()\n",
    "observe.total": "@hookimpl\ndef slime_on_run_end(event):\n    fail()\n",
    "observe.tracker": "class Tracker:\n    def log(self, step, metrics):\n        pass\n"
    "    def close(self):\n        fail()\n@hookimpl\ndef slime_tracker(run):\n"
    "    return Tracker()\n",
    "wrap.every_answer": "@hookimpl\nasync def slime_wrap_reward(call_next, sample, ctx):\n"
    "    fail()\n",
    "wrap.errors_pass": "@hookimpl\nasync def slime_wrap_reward(call_next, sample, ctx):\n"
    "    try:\n        return await call_next(sample)\n    except Exception:\n        fail()\n",
    "generate.answers": generate("fail()"),
    "generate.full_context": generate(after="if sample.stop is StopReason.CONTEXT: fail()"),
    "generate.samples_do_not_mix": "inside = []\n"
    + generate("inside.append(1)\n    if len(inside) > 1: fail()", "inside.pop()"),
    "generate.continues_after_abort": generate(
        after="if sample.stop is StopReason.ABORTED: fail()"
    ),
    "generate.engine_down": generate().replace(
        "    sample.stop = await engine.generate(sample.trace)",
        "    try:\n        sample.stop = await engine.generate(sample.trace)\n"
        "    except Exception:\n        fail()",
    ),
    "generate.works_after_failure": "left = []\n"
    + generate("if len(left) > 1: fail()\n    left.append(1)", "left.pop()"),
    "data_source.opens": source(opening="fail()"),
    "data_source.lazy": source(take="fail()"),
    "data_source.same_in_fresh_process": ELSEWHERE + source(opening="fail_elsewhere()"),
    "eval_sets.sets": "@hookimpl\ndef slime_eval_sets(run):\n    fail()\n",
    "declarations.options": "import dataclasses\n@dataclasses.dataclass\nclass Options:\n"
    "    size: int = 1\n    def __post_init__(self):\n        fail()\n"
    "@hookimpl\ndef slime_options():\n    return Options\n",
    "execution.spawned_reward": ELSEWHERE + REWARD.format("fail_elsewhere() or 1.0"),
    "execution.off_main_thread": "import threading\n"
    + REWARD.format("fail() if threading.current_thread().name != 'MainThread' else 1.0"),
    "execution.two_loops": "loops = []\n"
    + generate(
        "loop = asyncio.get_running_loop()\n"
        "    if loop not in loops: loops.append(loop)\n"
        "    if len(loops) > 1 and ctx.seed > 3: fail()"
    ),
    "execution.thousand_episodes": REWARD.format("fail() if sample.index > 20 else 1.0"),
    "resume.data_source": ELSEWHERE + source(opening="fail_elsewhere()"),
    "resume.interrupted_episode": ELSEWHERE + generate("fail_elsewhere()"),
    "packaging.imports": "fail()\n",
}
LOSS: Final = "@hookimpl\ndef slime_loss(batch, policy):\n    {}\n"
WITH_TORCH: Final = {
    "loss.shape": LOSS.format("fail()"),
    "loss.any_device": LOSS.format(
        "if batch['tokens'].is_meta: raise RuntimeError('device')  # there\n"
        "    return Loss(policy.logprobs * batch['advantages'])"
    ),
}
if importlib.util.find_spec("torch"):
    FAILING |= WITH_TORCH


def line_of(subject: Subject) -> str:
    """The line that raises, as a check names it."""
    file = Path(importlib.util.find_spec(subject.target.module).origin)  # type: ignore[union-attr, arg-type]
    lines = file.read_text().splitlines()
    marks = ("# there",) if any("# there" in one for one in lines) else ("# here",)
    numbers = [n for n, line in enumerate(lines, 1) if any(mark in line for mark in marks)]
    return f"(at {file.name}:{numbers[0]})"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_HOME", "")
    monkeypatch.delenv("OWN_HOME")


@pytest.mark.parametrize("check", FAILING)
def test_an_exception_is_told_with_the_line_that_raised_it(check: str, subject: Open) -> None:
    opened = subject(FAIL + FAILING[check])
    found = perform(opened, check)
    assert found.status == "failed", found
    assert line_of(opened) in found.text


def test_what_slime_conformance_raises_is_told_so_too(install: Callable[[str], str]) -> None:
    name = install(FAIL + "@hookimpl\ndef slime_conformance():\n    fail()\n")
    with pytest.raises(PluginError, match=rf"raised KeyError: 'x' \(at {name}\.py:\d+\)"):
        run(name, ["packaging.imports"])


def test_options_that_cannot_be_made_say_where_in_each_reason(subject: Open) -> None:
    opened = subject(FAIL + FAILING["declarations.options"])
    found = perform(opened, "declarations.options_help")
    assert found.text == (
        f"its options cannot be made (KeyError: 'x' {line_of(opened)}), "
        f"which declarations.options reports"
    )


def raised(text: str) -> Exception:
    try:
        exec(compile(text, "/own/plugin.py", "exec"), {"DataError": DataError})
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


OWN: Final = [Path("/own/plugin.py")]


def test_a_long_message_is_cut_and_its_line_is_not() -> None:
    error = raised("raise ValueError('x' * 100)")
    assert told(error, OWN, 10) == f"ValueError: {'x' * 10} (at plugin.py:1)"


def test_what_no_line_of_the_plugin_raised_names_none_unless_nobody_expected_it() -> None:
    error = raised("raise ValueError('x')")
    assert told(error, []) == "ValueError: x"
    assert uncaught(error, []) == "ValueError: x (plugin.py:1)"
    assert uncaught(error, OWN) == "ValueError: x (at plugin.py:1)"


def test_what_another_process_raised_is_told_as_it_was_there() -> None:
    error = ChildRaised("KeyError: 'x' (at a.py:3)", "the mistake")
    assert told(error, OWN) == "KeyError: 'x' (at a.py:3)"
    assert uncaught(error, OWN) == "in another process it raised KeyError: 'x' (at a.py:3)"
    assert mistake(error, OWN) == "the mistake"
    died = ChildDied("ended with exit status 3")
    assert uncaught(died, OWN) == "another process of the plugin ended with exit status 3"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("raise KeyError('x')", "raise KeyError('x')", True),
        ("raise KeyError('x')", "raise KeyError('y')", False),
        ("raise KeyError('x')", "\nraise KeyError('x')", False),
        ("open('/no/such')", "\n\nopen('/no/such')", True),
        ("open('/no/such')", "open('/no/other')", False),
        ("raise DataError('line 3')", "\nraise DataError('line 3')", True),
        ("raise TimeoutError", "\nraise TimeoutError", False),
    ],
)
def test_one_mistake_is_told_from_another(first: str, second: str, same: bool) -> None:
    assert (mistake(raised(first), OWN) == mistake(raised(second), OWN)) is same


def test_what_nobody_can_place_is_a_mistake_of_its_own() -> None:
    assert mistake(raised("raise KeyError('x')"), []) == ""


def test_a_finding_travels_as_json_values(subject: Open) -> None:
    assert perform(subject(REWARD.format("1.0")), "reward.finite") == Finding("passed")
