"""The checks of execution catch a fault in whatever shape it comes, and say what it is."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import indent
from typing import Final

import pytest
from slime_hookspecs.testing import Outcome, Status
from slime_hookspecs.testing.checks import execution
from slime_hookspecs.testing.soak import Soaked

Catch = Callable[[str, str], Outcome]
ONE_TURN: Final = "begin(sample, engine)\nsample.stop = await engine.generate(sample.trace)\n"


def generate(body: str, more: str = "") -> str:
    """A plugin that generates so, and returns the sample."""
    lines = indent(f"{body}\nreturn sample", "    ")
    return f"{more}\n@hookimpl\nasync def slime_generate(sample, engine, ctx):\n{lines}\n"


def reward(body: str, more: str = "", colour: str = "def") -> str:
    """A plugin that rewards so."""
    head = f"@hookimpl\n{colour} slime_reward(sample, ctx):\n"
    return f"{more}\n{head}{indent(body, '    ')}\n"


OPTIONS: Final = """
import dataclasses

@dataclasses.dataclass(frozen=True)
class Options:
    {field}

@hookimpl
def slime_options():
    return Options
"""

SOURCE: Final = """
class Source:
    def take(self, count):
        return [Prompt(f"p/{n}", [{"role": "user", "content": "?"}], n) for n in range(count)]
    def state(self):
        return {}
    def restore(self, state):
        pass

@hookimpl
def slime_data_source(options, run):
    opened.append(1)
    return Source()
"""

#: Check, plugin, part of what it says.
CAUGHT: Final = {
    "an option that is a function": (
        "execution.picklable",
        OPTIONS.format(field="clean: object = dataclasses.field(default_factory=lambda: print_)")
        + reward("return 1.0", "print_ = lambda text: text"),
        "its options cannot be pickled (PicklingError",
    ),
    "an option that unpickles only once made": (
        "execution.picklable",
        "class Odd:\n    def __reduce__(self):\n        return (pick, ())\n"
        "def pick():\n    raise OSError('no such file')\n"
        + OPTIONS.format(field="odd: object = dataclasses.field(default_factory=Odd)")
        + reward("return 1.0"),
        "another process cannot unpickle its options: OSError: no such file",
    ),
    "a reward by process": (
        "execution.spawned_reward",
        reward("return hash('word') / 1e19"),
        "in a worker process",
    ),
    "a reward that needs the data source": (
        "execution.spawned_reward",
        SOURCE + reward("return float(opened[0])", "opened = []"),
        "gets 1.0 here and IndexError: list index out of range (at written_0.py:",
    ),
    "an open file on a sample": (
        "execution.cloudpickle",
        generate(ONE_TURN + "sample.fields['log'] = open('/dev/null', 'w')"),
        "a generated sample does not travel to another process: PicklingError",
    ),
    "an event loop of the main thread": (
        "execution.off_main_thread",
        reward("asyncio.get_event_loop_policy().get_event_loop()\nreturn 1.0"),
        "slime_reward: off the main thread it raised RuntimeError: There is no current event loop",
    ),
    "a signal handler around generation": (
        "execution.off_main_thread",
        generate("import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)\n" + ONE_TURN),
        "slime_generate: off the main thread it raised ValueError: signal only works",
    ),
    "a signal handler in a data source": (
        "execution.off_main_thread",
        "opened = []\n"
        + SOURCE.replace(
            "opened.append(1)", "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)"
        ),
        "slime_data_source: off the main thread it raised ValueError: signal only works",
    ),
    "a queue of the first loop": (
        "execution.two_loops",
        reward(
            "async with gate:\n    await asyncio.sleep(0)\n    return 1.0",
            "gate = asyncio.Semaphore(2)",
            "async def",
        ),
        "in the second event loop it raised RuntimeError",
    ),
    "a crowd that is too much": (
        "execution.two_loops",
        generate(
            "if len(inside) > 12:\n    raise RuntimeError('full')\ninside.append(1)\n"
            + ONE_TURN
            + "inside.pop()",
            "inside = []",
        ),
        "in the first event loop it raised RuntimeError: full",
    ),
    "an index that grows too large": (
        "execution.thousand_episodes",
        reward("return 1.0 / (sample.index - 700)"),
        "episode 700 raised ZeroDivisionError",
    ),
    "a process that dies on the way": (
        "execution.thousand_episodes",
        reward("if sample.index == 500:\n    __import__('os')._exit(7)\nreturn 1.0"),
        "the process of the episodes ended with exit status 7",
    ),
    "a cache without a bound": (
        "execution.memory",
        generate(
            ONE_TURN + "cache[sample.index] = list(sample.trace.tokens), 'x' * 500", "cache = {}"
        ),
        "KiB in memory; bound what you cache",
    ),
    "sockets that stay open": (
        "execution.descriptors",
        reward("import os\nif sample.index % 9 == 0:\n    os.pipe()\nreturn 1.0"),
        "600 episodes left 134 files or sockets open",
    ),
    "threads that pile up": (
        "execution.tasks",
        reward(
            "import threading\nif sample.index % 40 == 0:\n"
            "    threading.Thread(target=threading.Event().wait, daemon=True).start()\nreturn 1.0"
        ),
        "600 episodes left 15 tasks, threads or processes running",
    ),
}


@pytest.mark.parametrize("fault", CAUGHT)
def test_a_fault_is_caught_and_named(fault: str, catch: Catch) -> None:
    check, source, says = CAUGHT[fault]
    found = catch(check, source)
    assert (found.status, says in found.message) == (Status.FAILED, True), found.message


#: Check, plugin, why there is nothing to check.
NOTHING: Final = {
    "a reward on the event loop": (
        "execution.spawned_reward",
        reward("return 1.0", colour="async def"),
        "its rewards are async, and so run where the data is open",
    ),
    "a reward by chance": (
        "execution.spawned_reward",
        reward("return next(n) / 1e9", "n = iter(range(10**6))"),
        "its rewards are not the same twice",
    ),
    "an episode that fails": (
        "execution.memory",
        reward("raise KeyError(1)"),
        "an episode failed, which execution.thousand_episodes reports",
    ),
    "no sample, where there should be a thousand": (
        "execution.thousand_episodes",
        generate("return None"),
        "it returns no sample, which generate.answers reports",
    ),
    "an episode that raises, in two loops": (
        "execution.two_loops",
        generate("raise KeyError(1)"),
        "it raises, which generate.answers reports",
    ),
    "a loss alone": (
        "execution.off_main_thread",
        "@hookimpl\ndef slime_on_run_end(event):\n    pass\n",
        "the plugin has no slime_data_source or slime_generate or slime_reward or "
        "slime_group_reward or slime_filter",
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_where_there_is_nothing_to_check_it_says_why(case: str, catch: Catch) -> None:
    check, source, reason = NOTHING[case]
    found = catch(check, source)
    assert (found.status, found.reason) == (Status.SKIPPED, reason), found.message


#: Check and a plugin that may do what it does.
ALLOWED: Final = {
    "a bounded cache": (
        "execution.memory",
        reward(
            "return float(normal(f'{sample.index % 4}'))",
            "import functools\nnormal = functools.lru_cache(64)(lambda text: int(text))",
        ),
    ),
    "a thread for all": (
        "execution.tasks",
        reward(
            "return pool.submit(float, 1).result()",
            "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)",
        ),
    ),
    "options that pickle, and an async sleep": (
        "execution.cloudpickle",
        OPTIONS.format(field="size: int = 3") + generate(ONE_TURN + "await asyncio.sleep(60)"),
    ),
    "a sleep in each of a thousand episodes": (
        "execution.thousand_episodes",
        generate("await asyncio.sleep(60)\n" + ONE_TURN),
    ),
    "what does not work on the main thread either": (
        "execution.off_main_thread",
        reward("raise KeyError(1)"),
    ),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_is_allowed_passes(case: str, catch: Catch) -> None:
    found = catch(*ALLOWED[case])
    assert found.status is Status.PASSED, found.message


@pytest.mark.parametrize(
    ("found", "check"),
    [
        (
            Soaked(600, "", execution.SLACK_BYTES * 600 + 1, 0, 0),
            execution.memory,
        ),
        (Soaked(60, "", execution.LEAST_BYTES + 1, 0, 0), execution.memory),
        (Soaked(600, "", 0, execution.SLACK + 1, 0), execution.descriptors),
        (Soaked(600, "", 0, 0, execution.SLACK + 1), execution.tasks),
        (Soaked(600, "too many open files", 0, 99, 0), execution.descriptors),
        (Soaked(600, "episode 7 raised", 0, 0, 0), execution.thousand_episodes),
    ],
)
def test_one_over_the_slack_is_too_much(
    found: Soaked, check: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_soaked", lambda _: found)
    with pytest.raises(execution.CheckFailed):
        check(object())


@pytest.mark.parametrize(
    ("episodes", "bytes_"), [(600, execution.SLACK_BYTES * 600), (60, execution.LEAST_BYTES)]
)
def test_the_slack_itself_is_none(
    episodes: int, bytes_: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Soaked(episodes, "", bytes_, execution.SLACK, execution.SLACK)
    monkeypatch.setattr(execution, "_soaked", lambda _: found)
    for check in (execution.memory, execution.descriptors, execution.tasks):
        check(object())  # type: ignore[arg-type]
