"""The checks of resume catch a fault in whatever shape it comes, and say what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from slime_hookspecs.testing import Outcome, Status

Catch = Callable[[str, str], Outcome]

#: Sums, whose state and order are lines to be filled in.
SOURCE: Final = """
import os, random, time
MADE = {{}}

class Source:
    def __init__(self):
        self.place = 0
    def prompt(self, place):
        epoch, number = divmod(place, {size})
        {order}
        MADE[f"sum/{{number}}"] = number
        return Prompt(f"sum/{{number}}", [{{"role": "user", "content": f"{{number}}+1="}}], number)
    def take(self, count):
        self.place += count
        return [self.prompt(n) for n in range(self.place - count, self.place)]
    def state(self):
        return {{"place": self.place}}
    def restore(self, state):
        {restore}

@hookimpl
def slime_data_source(options, run):
    return Source()
"""


def source(
    order: str = "pass", restore: str = "self.place = state['place']", size: int = 24
) -> str:
    """A plugin with a data source."""
    return SOURCE.format(order=order, restore=restore, size=size)


def reward(body: str, colour: str = "async def") -> str:
    """A reward beside it."""
    return f"@hookimpl\n{colour} slime_reward(sample, ctx):\n    {body}\n"


def generate(body: str, more: str = "") -> str:
    """A plugin that generates so."""
    head = "@hookimpl\nasync def slime_generate(sample, engine, ctx):\n    begin(sample, engine)\n"
    return f"{more}\n{head}    trace = sample.trace\n{body}    return sample\n"


COUNTED_OUTSIDE: Final = """
    while turns.setdefault(sample.index, 0) < 2:
        sample.stop = await engine.generate(trace)
        if sample.stop is not StopReason.STOP:
            return sample
        turns[sample.index] += 1
        trace.append_observed(engine.encode("Sure?"))
    turns.clear()
"""

LAST_SEGMENT: Final = """
    sample.stop = await engine.generate(trace)
    if sample.stop is StopReason.STOP:
        said = engine.decode(trace.segments[-1].tokens)
        trace.append_observed(engine.encode(f"You said {said}"))
"""

#: Check, plugin, part of what it says.
CAUGHT: Final = {
    "an order by process": (
        "resume.data_source",
        source("number = (number + (os.getpid() if epoch else 0)) % 24"),
        "prompts and restored by another process, it goes on differently: sum/",
    ),
    "an order that only the second half has": (
        "resume.data_source",
        source("number = (number + os.getpid() * (place > 40)) % 100", size=100),
        "prompts and restored by another process, it goes on differently: sum/",
    ),
    "a state that this process alone can restore": (
        "resume.data_source",
        source(restore="self.place = state['place'] + {PID: 0}[os.getpid()]").replace(
            "MADE = {}",
            "MADE = {}\nPID = int(os.environ.setdefault('WRITTEN_PID', str(os.getpid())))",
        ),
        "another process could not restore the source: KeyError",
    ),
    "an async reward that asks the data source": (
        "resume.rewards",
        source() + reward("return float(MADE[sample.prompt.id])"),
        "prompt 'sum/0' got 0.0, and after a restart it gets KeyError: 'sum/0'",
    ),
    "a reward by process": (
        "resume.rewards",
        source() + reward("return os.getpid() % 1000 + len(sample.response) / 10"),
        "after a restart it gets",
    ),
    "turns that are counted in the module": (
        "resume.interrupted_episode",
        generate(COUNTED_OUTSIDE, "turns = {}"),
        "cut off in call 1 it became",
    ),
    "a turn that is taken for one segment": (
        "resume.interrupted_episode",
        generate(LAST_SEGMENT),
        "a turn that was cut off and continued is two segments",
    ),
    "an exception where the trace is not empty": (
        "resume.interrupted_episode",
        generate(
            "    if trace.sampled_length and sample.index not in known:\n"
            "        raise KeyError(sample.index)\n    known.append(sample.index)\n"
            "    sample.stop = await engine.generate(trace)\n",
            "known = []",
        ),
        "another process could not go on with it: KeyError: 0",
    ),
}


@pytest.mark.parametrize("fault", CAUGHT)
def test_a_fault_is_caught_and_named(fault: str, catch: Catch) -> None:
    check, plugin, says = CAUGHT[fault]
    found = catch(check, plugin)
    assert (found.status, says in found.message) == (Status.FAILED, True), found.message


#: Check, plugin, why there is nothing to check.
NOTHING: Final = {
    "a source that forgets": (
        "resume.data_source",
        source(restore="self.place = 0"),
        "data_source.restores says what is wrong",
    ),
    "a source that is another in each process": (
        "resume.data_source",
        source("number = (number + os.getpid()) % 24"),
        "data_source.same_in_fresh_process says what is wrong",
    ),
    "no data source": (
        "resume.rewards",
        reward("return 1.0"),
        "the plugin has no slime_data_source",
    ),
    "rewards by chance": (
        "resume.rewards",
        source() + reward("return time.perf_counter()"),
        "its rewards are not the same twice",
    ),
    "an episode by chance": (
        "resume.interrupted_episode",
        generate(
            "    sample.stop = await engine.generate(trace)\n"
            "    trace.append_observed([9] * next(n))\n",
            "n = iter(range(1, 999))",
        ),
        "an episode has several samples, or is not the same twice",
    ),
    "an abort that is taken for an end": (
        "resume.interrupted_episode",
        generate("    await engine.generate(trace)\n    sample.stop = StopReason.STOP\n"),
        "generate.continues_after_abort says what is wrong",
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_where_there_is_nothing_to_check_it_says_why(case: str, catch: Catch) -> None:
    check, plugin, reason = NOTHING[case]
    found = catch(check, plugin)
    assert (found.status, found.reason) == (Status.SKIPPED, reason), found.message


@pytest.mark.parametrize(
    ("check", "plugin"),
    [
        (
            "resume.data_source",
            source("number = random.Random(epoch).sample(range(24), 24)[number]"),
        ),
        ("resume.data_source", source(size=5)),
        ("resume.data_source", source(size=10**6)),
        ("resume.rewards", source() + reward("return float(sample.prompt.label)", "def")),
        (
            "resume.interrupted_episode",
            generate("    sample.stop = await engine.generate(trace)\n"),
        ),
    ],
    ids=["shuffled", "small", "endless", "label in the prompt", "one turn"],
)
def test_what_resumes_passes(check: str, plugin: str, catch: Catch) -> None:
    found = catch(check, plugin)
    assert found.status is Status.PASSED, found.message
