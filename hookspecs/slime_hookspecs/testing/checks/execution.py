"""Execution: in other processes, threads and event loops, and a thousand times over."""

from __future__ import annotations

import asyncio
import base64
import functools
import importlib.util
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from slime_hookspecs.records import Group, Sample
from slime_hookspecs.testing import samples
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, _episodes, check
from slime_hookspecs.testing.kit.batches import make_batch
from slime_hookspecs.testing.raised import ChildDied, ChildRaised
from slime_hookspecs.testing.soak import Soaked, score, soak
from slime_hookspecs.testing.subject import Subject

REWARDS: Final = ("slime_reward", "slime_group_reward")
EPISODES: Final = ("slime_generate", *REWARDS)
ROLLOUT: Final = ("slime_data_source", *EPISODES, "slime_filter")
#: Memory that an episode may leave, on average, when caches are full.
SLACK_BYTES: Final = 256
#: What all of them may leave in any case: in few episodes, of slow plugins, caches still fill.
LEAST_BYTES: Final = 96 << 10
#: Descriptors, and tasks, that all of them may leave.
SLACK: Final = 8
#: Samples side by side, more than most plugins let in at once.
CROWD: Final = 16
#: Event loops of one process, and what may be wrong where one of them fails.
LOOPS: Final = {
    "first": f"{CROWD} samples were under way at once",
    "second": "make locks, queues and sessions in the loop that uses them",
}


@check("execution.picklable", "execution", hooks=REWARDS)
def picklable(subject: Subject) -> None:
    """Options and samples are pickled into the worker processes of a reward that is a ``def``."""
    for hook in _pooled(subject):
        try:
            jobs = _pack(_jobs(subject, hook))
        except NotApplicable:
            raise
        except Exception as error:
            raise CheckFailed(
                f"its options cannot be pickled ({subject.told(error)}); "
                f"define the class of options at the top of a module"
            ) from error
        try:
            subject.fresh(unpack, jobs)
        except ChildRaised as error:
            raise CheckFailed(f"another process cannot unpickle its options: {error}") from error


@check("execution.spawned_reward", "execution", hooks=REWARDS)
def spawned_reward(subject: Subject) -> None:
    """A worker process, which opens no data source, gives the same rewards as this one."""
    _episodes.open_data(subject)
    for hook in _pooled(subject):
        jobs = _jobs(subject, hook)
        here, again = (_scores(subject, hook, jobs) for _ in range(2))
        if here != again:
            raise NotApplicable("its rewards are not the same twice")
        try:
            packed = _pack(jobs)
        except Exception as error:
            raise NotApplicable("execution.picklable reports what is not pickled") from error
        try:
            there = subject.fresh(score_there, [hook, packed])
        except ChildRaised as error:
            raise CheckFailed(
                f"in a worker process it raised {error}; what a reward needs is in the sample "
                f"and its options, not in what another hook left in the module"
            ) from error
        for (given, _), one, other in zip(jobs, here, there, strict=True):
            if one != other:
                raise CheckFailed(
                    f"prompt {given.prompt.id!r} gets {one} here and {other} in a worker process"
                )


@check(
    "execution.cloudpickle",
    "execution",
    hooks=("slime_generate", "slime_options"),
    needs=("cloudpickle",),
)
def cloudpickled(subject: Subject) -> None:
    """Options, generated samples and batches travel through Ray's serializer."""
    cargo: dict[str, Any] = {"options": subject.options}
    if "slime_generate" in subject.hooks:
        cargo["a generated sample"] = _episodes.episode(subject, subject.prompts[0]).samples
    if subject.conformance.batch and importlib.util.find_spec("torch"):
        cargo["a batch"] = dict(subject.conformance.batch(make_batch()[0]))
    dumps: Callable[[Any], bytes] = importlib.import_module("cloudpickle").dumps
    for what, value in cargo.items():
        try:
            packed = _text(dumps(_detached(value)))
            subject.fresh(unpack, packed)
        except NotApplicable:
            raise
        except Exception as error:
            raise CheckFailed(
                f"{what} does not travel to another process: {subject.told(error)}"
            ) from error


@check("execution.off_main_thread", "execution", hooks=ROLLOUT)
def off_main_thread(subject: Subject) -> None:
    """What works on the main thread works on another: the core runs hooks on either."""
    for hook, work in _works(subject):
        try:
            work()
        except Exception:
            continue  # Other checks say so.
        if error := _in_thread(work):
            raise CheckFailed(
                f"{hook}: off the main thread it raised {subject.told(error)}; "
                f"signal handlers and get_event_loop() work on the main one only"
            ) from error


@check("execution.two_loops", "execution", hooks=EPISODES)
def two_loops(subject: Subject) -> None:
    """A second event loop, in the same process, serves as many samples at once as the first."""
    _usable(subject)
    if found := subject.fresh(in_two_loops):
        raise CheckFailed(found[0]) from ChildRaised(*found)


@check("execution.thousand_episodes", "execution", hooks=EPISODES, timeout_s=60.0)
def thousand_episodes(subject: Subject) -> None:
    """A thousand episodes, one after another, end without an exception."""
    found = _soaked(subject)
    if found.error:
        raise CheckFailed(found.error) from ChildRaised(found.error, found.mistake)


@check("execution.memory", "execution", hooks=EPISODES, timeout_s=60.0)
def memory(subject: Subject) -> None:
    """Episodes leave no memory behind, once caches are full."""
    found = _soaked(subject)
    wrong = (
        f"{found.episodes} episodes left {found.bytes >> 10} KiB in memory; bound what you cache, "
        f"and keep no samples"
    )
    may = max(LEAST_BYTES, SLACK_BYTES * found.episodes)
    _complain(found, wrong if found.bytes > may else "")


@check("execution.descriptors", "execution", hooks=EPISODES, timeout_s=60.0)
def descriptors(subject: Subject) -> None:
    """Episodes leave no file or socket open."""
    found = _soaked(subject)
    wrong = f"{found.episodes} episodes left {found.descriptors} files or sockets open"
    _complain(found, wrong if found.descriptors > SLACK else "")


@check("execution.tasks", "execution", hooks=EPISODES, timeout_s=60.0)
def tasks(subject: Subject) -> None:
    """Tasks, threads and processes do not pile up."""
    found = _soaked(subject)
    wrong = f"{found.episodes} episodes left {found.running} tasks, threads or processes running"
    _complain(found, wrong if found.running > SLACK else "")


def unpack(subject: Subject, packed: str) -> None:
    """Unpickle, in another process, which has loaded the plugin."""
    subject.options  # noqa: B018
    pickle.loads(base64.b64decode(packed))


def score_there(subject: Subject, payload: Sequence[str]) -> list[str]:
    """Rewards of pickled samples or groups, in another process."""
    hook, packed = payload
    subject.options  # noqa: B018
    return _scores(subject, hook, pickle.loads(base64.b64decode(packed)))


def in_two_loops(subject: Subject, _: Any) -> list[str]:
    """What goes wrong where many samples are served in two event loops, and of which mistake."""
    _episodes.open_data(subject)
    for which, cure in LOOPS.items():
        for error in _episodes.run(_crowd(subject)):
            if isinstance(error, NotApplicable):
                raise error
            if isinstance(error, BaseException):
                what = f"in the {which} event loop it raised {subject.told(error)}; {cure}"
                return [what, subject.mistake(error)]
    return []


async def _crowd(subject: Subject) -> list[Any]:
    prompt = subject.prompts[0]
    work = []
    if "slime_generate" in subject.hooks:
        work += [
            _episodes.attempt(subject, _episodes.sample(prompt, n), _episodes.engine(subject))
            for n in range(CROWD)
        ]
    for hook in REWARDS:
        work += [score(subject, hook, given) for given in _given(subject, hook)[:CROWD]]
    return list(await asyncio.gather(*work, return_exceptions=True))


@functools.lru_cache(maxsize=1)
def _soaked(subject: Subject) -> Soaked:
    _usable(subject)
    try:
        return Soaked(**subject.fresh(soak, timeout_s=50.0))
    except ChildRaised as error:
        return Soaked(0, f"before the first episode it raised {error}", 0, 0, 0, error.mistake)
    except ChildDied as error:
        return Soaked(0, f"the process of the episodes {error}", 0, 0, 0)


def _usable(subject: Subject) -> None:
    """Leave what ``generate.answers`` reports to it."""
    if "slime_generate" in subject.hooks:
        _episodes.episode(subject, subject.prompts[0])


def _complain(found: Soaked, wrong: str) -> None:
    """Fail where something is wrong; else say so where too little was measured to tell."""
    if wrong:
        raise CheckFailed(wrong)
    if found.error:
        raise NotApplicable("an episode failed, which execution.thousand_episodes reports")


def _pooled(subject: Subject) -> list[str]:
    """The rewards that run in worker processes."""
    found: list[str] = [
        one for one in REWARDS if one in subject.hooks and not subject.is_async(one)
    ]
    if not found:
        raise NotApplicable("its rewards are async, and so run where the data is open")
    return found


def _given(subject: Subject, hook: str) -> list[Any]:
    """Samples, or groups of them, to score: what the author gave, and the bare labels."""
    told = subject.conformance
    examples = [*told.gold, *told.bad, *((one, str(one.label)) for one in subject.prompts)]
    made = [samples.sample(prompt, text, n) for n, (prompt, text) in enumerate(examples)]
    if hook == "slime_reward":
        return made * (CROWD // len(made) + 1)
    return [samples.group(prompt, [text, text], n) for n, (prompt, text) in enumerate(examples)]


def _jobs(subject: Subject, hook: str) -> list[tuple[Sample | Group, Any]]:
    return [(given, subject.context()) for given in _given(subject, hook)]


def _scores(subject: Subject, hook: str, jobs: Sequence[tuple[Any, Any]]) -> list[str]:
    found = []
    for given, ctx in jobs:
        try:
            found.append(repr(subject.call(hook, given, ctx)))
        except NotApplicable:
            raise
        except Exception as error:
            found.append(subject.told(error))
    return found


def _pack(value: Any) -> str:
    return _text(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _detached(value: Any) -> Any:
    """A batch's tensors without the history that only this process has."""
    if not isinstance(value, dict):
        return value
    return {k: v.detach() if hasattr(v, "detach") else v for k, v in value.items()}


def _works(subject: Subject) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each hook that the rollout calls, as something to run."""
    if "slime_data_source" in subject.hooks:
        yield "slime_data_source", lambda: subject.data_source().take(2)
    if "slime_generate" in subject.hooks:
        yield "slime_generate", lambda: _episodes.episode(subject, subject.prompts[0])
    for hook in REWARDS:
        if hook in subject.hooks:
            given = _given(subject, hook)[0]
            yield hook, functools.partial(subject.call, hook, given, subject.context())
    if "slime_filter" in subject.hooks:
        group = samples.scored_group(subject.prompts[0], [0.0, 1.0])
        yield "slime_filter", lambda: subject.call("slime_filter", group, subject.context())


def _in_thread(work: Callable[[], Any]) -> BaseException | None:
    raised: list[BaseException] = []

    def body() -> None:
        try:
            work()
        except BaseException as error:
            # What a helper wraps is not what the plugin raised.
            raised.append(error.__cause__ or error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return raised[0] if raised else None
