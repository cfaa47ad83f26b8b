"""Observers and trackers: they take whatever a run tells, change nothing, and hold nobody up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, Final

from slime_hookspecs import promises
from slime_hookspecs.records import Group, Rollout
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, check
from slime_hookspecs.testing.checks._lives import ROWS, Told, Watch, lenient, live
from slime_hookspecs.testing.subject import Subject
from slime_hookspecs.testing.writes import writes

OBSERVERS: Final = (
    "slime_on_group",
    "slime_on_rollout",
    "slime_on_train_step",
    "slime_on_weights",
    "slime_on_checkpoint",
    "slime_on_run_end",
)
TRACKER: Final = ("slime_tracker",)
ALL: Final = (*OBSERVERS, *TRACKER)

#: Seconds that a call may take; the run waits for it.
QUICK_S: Final = 0.5
#: Lives after which what each leaves behind is told from what stays once.
LIVES: Final = 3


@check("observe.total", "observe", hooks=OBSERVERS)
def total(subject: Subject) -> None:
    """Observers take all that a run tells: first and last step, no groups, a failed run."""

    @contextlib.contextmanager
    def strict(told: Told) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if told.hook in OBSERVERS:
                what = subject.told(error)
                raise CheckFailed(f"{told.hook} raised {what}\n  on {_short(told.what)}") from error

    live(subject, strict)


@check("observe.no_mutation", "observe", hooks=ALL)
def no_mutation(subject: Subject) -> None:
    """What an observer is told stays as it was; ``rollout.metrics`` may get new names."""

    @contextlib.contextmanager
    def comparing(told: Told) -> Iterator[None]:
        before = _facts(told.what)
        with contextlib.suppress(Exception):
            yield
        after = _facts(told.what)
        for name, value in before.items():
            if after.get(name) != value:
                raise CheckFailed(f"{told.hook} changed {name}; work on a copy")
        if not isinstance(told.what, Rollout) and after.keys() != before.keys():
            new = ", ".join(sorted(after.keys() - before.keys()))
            raise CheckFailed(f"{told.hook} added {new}; work on a copy")

    live(subject, comparing)


@check("observe.metrics_are_numbers", "observe", hooks=("slime_on_rollout",))
def metrics_are_numbers(subject: Subject) -> None:
    """What is added to ``rollout.metrics`` is a number under a name."""

    @contextlib.contextmanager
    def looking(told: Told) -> Iterator[None]:
        with contextlib.suppress(Exception):
            yield
        if isinstance(told.what, Rollout):
            for name, value in told.what.metrics.items():
                if not isinstance(name, str) or not isinstance(value, Real):
                    raise CheckFailed(f"rollout.metrics[{name!r}] is {value!r}; a float is due")

    live(subject, looking)


@check("observe.quick", "observe", hooks=ALL)
def quick(subject: Subject) -> None:
    """A call is over at once: the run waits for it."""
    lives: list[list[tuple[float, str]]] = []
    for _ in range(2):
        lives.append([])
        live(subject, _timing(lives[-1]))
        if all(seconds < QUICK_S for seconds, _ in lives[-1]):
            return
    for (first, hook), (second, _) in zip(*lives, strict=True):
        # Twice, because the first call may import something.
        if min(first, second) >= QUICK_S:
            raise CheckFailed(
                f"{hook} took {min(first, second):.2g} s, and {QUICK_S:g} s is the limit: "
                f"hand slow work to a thread or a task"
            )


@check("observe.tracker", "observe", hooks=TRACKER)
def tracker(subject: Subject) -> None:
    """A tracker has ``log`` and ``close``, and takes every step's metrics, numbers or not."""
    for rows in (ROWS, ()):
        opened = subject.call("slime_tracker", subject.options, subject.run)
        for name in ("log", "close"):
            if not callable(getattr(opened, name, None)):
                raise CheckFailed(f"the tracker {opened!r:.80} has no method {name}")
        for step, metrics in rows:
            _strictly(subject, f"log({step}, {dict(metrics)})", opened.log, step, dict(metrics))
        _strictly(subject, "close()" if rows else "close() with no step before it", opened.close)


@check("observe.writes_in_run_directory", "observe", hooks=ALL)
def writes_in_run_directory(subject: Subject) -> None:
    """Files are written under ``run.directory`` only, as far as Python sees them opened."""
    home = Path(subject.run.directory).resolve()
    with writes() as found:
        live(subject, lenient)
    for path in found:
        if not path.is_relative_to(home):
            raise CheckFailed(f"it wrote {path}, which is not under run.directory ({home})")


@check("observe.leaves_nothing_open", "observe", hooks=ALL)
def leaves_nothing_open(subject: Subject) -> None:
    """After ``slime_on_run_end`` and ``close`` no files and threads are left, run after run."""
    live(subject, lenient)
    before = _held()
    for _ in range(LIVES):
        live(subject, lenient)
    for what, count in _held().items():
        if count - before[what] >= LIVES:
            raise CheckFailed(f"each run leaves {what} behind: {before[what]} became {count}")


def _timing(seconds: list[tuple[float, str]]) -> Watch:
    @contextlib.contextmanager
    def watch(told: Told) -> Iterator[None]:
        start = time.monotonic()
        with contextlib.suppress(Exception):
            yield
        seconds.append((time.monotonic() - start, told.hook))

    return watch


def _facts(what: Any) -> dict[str, str]:
    """All that was told, by name; text, because NaN is not equal to itself."""
    if isinstance(what, Group):
        order = {"the list of samples": repr([id(one) for one in what.samples])}
        return {**order, **_of_samples(what)}
    if isinstance(what, Rollout):
        facts = {"rollout.groups": repr([id(group) for group in what.groups])}
        facts |= {f"rollout.{n}": repr(getattr(what, n)) for n in ("step", "weight_version")}
        for group in what.groups:
            facts |= _facts(group)
        return facts | _of_mapping("rollout.metrics", what.metrics)
    if isinstance(what, Mapping):
        return _of_mapping("metrics", what)
    tables = {n: getattr(what, n) for n in ("metrics", "summary") if hasattr(what, n)}
    return {k: v for n, table in tables.items() for k, v in _of_mapping(n, table).items()}


def _of_mapping(name: str, table: Mapping[str, Any]) -> dict[str, str]:
    return {f"{name}[{key!r}]": repr(value) for key, value in table.items()}


def _of_samples(group: Group) -> dict[str, str]:
    return {
        f"{name} of sample {one.index}": repr(value)
        for one in group.samples
        for name, value in promises.snapshot(one).items()
    }


def _strictly(subject: Subject, what: str, call: Callable[..., Any], *arguments: Any) -> None:
    try:
        call(*arguments)
    except Exception as error:
        raise CheckFailed(f"{what} raised {subject.told(error)}") from error


def _held() -> dict[str, int]:
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        raise NotApplicable("this system does not tell which files a process has open")
    return {"open files": len(list(descriptors.iterdir())), "threads": threading.active_count()}


def _short(what: Any) -> str:
    if isinstance(what, Rollout):
        return f"a rollout of {len(what.groups)} groups, step {what.step}"
    if isinstance(what, Group):
        return f"a group with rewards {[one.reward for one in what.samples]}"
    return f"{what!r:.200}"
