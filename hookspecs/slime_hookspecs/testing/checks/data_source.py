"""Data source: prompts come as asked, are the same everywhere, and resume exactly."""

from __future__ import annotations

import hashlib
import json
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from slime_hookspecs.data import DataSource
from slime_hookspecs.promises import not_json as not_json
from slime_hookspecs.promises import survives_json as survives_json
from slime_hookspecs.records import Prompt
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, check
from slime_hookspecs.testing.subject import Subject

HOOKS: Final = ("slime_data_source",)
#: How far to look for the end of an epoch.
MAX_EPOCH: Final = 2000
OPEN_BUDGET_S: Final = 5.0
OPEN_BUDGET_BYTES: Final = 64 << 20
#: Where a stream is saved: at its start, inside an epoch, and, for small data, across epochs.
CUTS: Final = (0, 1, 3, 10)


@check("data_source.opens", "data_source", hooks=HOOKS)
def opens(subject: Subject) -> None:
    """The source opens with the test options, and gives prompts."""
    try:
        source = subject.call("slime_data_source", subject.options, subject.run)
    except NotApplicable:
        raise
    except Exception as error:
        raise CheckFailed(
            f"slime_data_source raised {subject.told(error)}\n"
            f"  where it needs options, give some with Conformance.options"
        ) from error
    if not isinstance(source, DataSource):
        raise CheckFailed(f"it returned {source!r}; it must have take, state and restore")
    taken = source.take(3)
    wrong = [one for one in taken if not isinstance(one, Prompt)]
    if wrong or not taken:
        raise CheckFailed(f"take(3) gave {wrong or taken!r}; it must give Prompts")


@check("data_source.lazy", "data_source", hooks=HOOKS)
def lazy(subject: Subject) -> None:
    """Opening the source and taking one prompt costs at most 5 s and 64 MiB."""
    subject.options  # noqa: B018
    tracemalloc.start()
    start = time.perf_counter()
    try:
        subject.data_source().take(1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    seconds = time.perf_counter() - start
    if seconds > OPEN_BUDGET_S:
        raise CheckFailed(f"opening it and taking one prompt took {seconds:.1f} s")
    if peak > OPEN_BUDGET_BYTES:
        raise CheckFailed(
            f"opening it and taking one prompt took {peak >> 20} MiB; make prompts when asked, "
            f"or name a small data file in Conformance.options"
        )


@check("data_source.bounded_take", "data_source", hooks=HOOKS)
def bounded_take(subject: Subject) -> None:
    """``take(n)`` gives n prompts, and fewer only where the source ends for good."""
    source = subject.data_source()
    ended = False
    for count in (1, 2, 5, 1, 8):
        taken = list(source.take(count))
        if len(taken) > count:
            raise CheckFailed(f"take({count}) gave {len(taken)} prompts")
        if ended and taken:
            raise CheckFailed("it gave prompts again after it had given fewer than were asked for")
        ended = len(taken) < count


@check("data_source.take_zero", "data_source", hooks=HOOKS)
def take_zero(subject: Subject) -> None:
    """``take(0)`` gives nothing and moves nothing."""
    source, other = subject.data_source(), subject.data_source()
    if taken := list(source.take(0)):
        raise CheckFailed(f"take(0) gave {len(taken)} prompts")
    _same(_prints(source.take(3)), _prints(other.take(3)), "take(0) moved the source on")


@check("data_source.stable_ids", "data_source", hooks=HOOKS)
def stable_ids(subject: Subject) -> None:
    """An id is a text that means one prompt, the same in every epoch."""
    taken = list(_up_to(subject.data_source(), 200))
    contents: dict[str, str] = {}
    for one in taken:
        if not isinstance(one.id, str) or not one.id:
            raise CheckFailed(f"an id is {one.id!r}; it must be a text")
        if contents.setdefault(one.id, _content(one)) != _content(one):
            raise CheckFailed(f"two different prompts have the id {one.id!r}")
    repeats = Counter(_content(one) for one in taken)
    if len(contents) == len(taken) and repeats and min(repeats.values()) > 1:
        raise CheckFailed("prompts come again with other ids; an id is the same in every epoch")


@check("data_source.same_in_fresh_process", "data_source", hooks=HOOKS)
def same_in_fresh_process(subject: Subject) -> None:
    """Another process, with another hash seed, draws the same prompts under the same ids."""
    subject.data_source()
    first = subject.fresh(draw, 20, hash_seed="1")
    second = subject.fresh(draw, 20, hash_seed="2")
    _same(first, second, "two processes draw different prompts; hash() and sets differ by process")


@check("data_source.json_prompts", "data_source", hooks=HOOKS)
def json_prompts(subject: Subject) -> None:
    """Prompts are JSON values: saved rollouts and other processes read them as they were."""
    for one in _up_to(subject.data_source(), 20):
        if wrong := not_json(one):
            raise CheckFailed(wrong)


@check("data_source.json_state", "data_source", hooks=HOOKS)
def json_state(subject: Subject) -> None:
    """The state is JSON values: a checkpoint holds it as text."""
    source = subject.data_source()
    source.take(3)
    state = source.state()
    if not isinstance(state, dict) or not survives_json(state):
        raise CheckFailed(f"the state {state!r} is not the same after a round trip through JSON")


@check("data_source.state_is_a_snapshot", "data_source", hooks=HOOKS)
def state_is_a_snapshot(subject: Subject) -> None:
    """A state that was taken does not change when the source goes on."""
    source = subject.data_source()
    source.take(2)
    state = source.state()
    before = repr(state)
    source.take(3)
    if repr(state) != before:
        raise CheckFailed(f"the state was {before}, and is {state!r} after another take")


@check("data_source.restores", "data_source", hooks=HOOKS)
def restores(subject: Subject) -> None:
    """A source that is restored goes on exactly after the last prompt, wherever it was saved."""
    for cut in CUTS:
        _check_restore(subject, cut, 7)


@check("data_source.restores_at_end", "data_source", hooks=HOOKS, timeout_s=40.0)
def restores_at_end(subject: Subject) -> None:
    """It does so at the end of an epoch too, or at the end of the data."""
    length = _epoch_length(subject.data_source())
    for cut in (length, 2 * length):
        _check_restore(subject, cut, min(length, 50) + 1)


def draw(subject: Subject, count: int) -> list[str]:
    """Fingerprints of the first prompts, for another process to compare."""
    return _prints(_up_to(opened_again(subject), count))


def opened_again(subject: Subject) -> DataSource:
    """A source that did open in the process that asks: here nothing else reports that it fails."""
    made: DataSource = subject.call("slime_data_source", subject.options, subject.run)
    return made


def _check_restore(subject: Subject, cut: int, then: int) -> None:
    source = subject.data_source()
    source.take(cut)
    state = source.state()
    if not survives_json(state):
        raise NotApplicable("the state is no JSON value")
    text = json.dumps(state)
    expected = _prints(source.take(then))
    other = subject.data_source()
    other.restore(json.loads(text))
    found = _prints(other.take(then))
    _same(expected, found, f"saved after {cut} prompts and restored, it goes on differently")


def _epoch_length(source: DataSource) -> int:
    seen: set[str] = set()
    while len(seen) < MAX_EPOCH:
        taken = list(source.take(1))
        if not taken or taken[0].id in seen:
            return max(len(seen), 1)
        seen.add(taken[0].id)
    raise NotApplicable(
        f"no epoch ends within {MAX_EPOCH} prompts; name smaller data in Conformance.options"
    )


def _same(expected: Sequence[str], found: Sequence[str], wrong: str) -> None:
    for place, (one, other) in enumerate(zip(expected, found, strict=False)):
        if one != other:
            raise CheckFailed(f"{wrong}\n  at place {place}: {one}, then {other}")
    if len(expected) != len(found):
        raise CheckFailed(f"{wrong}\n  {len(expected)} prompts, then {len(found)}")


def _up_to(source: DataSource, count: int) -> Iterator[Prompt]:
    for _ in range(count):
        taken = list(source.take(1))
        if not taken:
            return
        yield from taken[:1]


def _prints(prompts: Any) -> list[str]:
    return [f"{one.id} {_content(one)}" for one in prompts]


def _content(one: Prompt) -> str:
    text = repr((one.messages, one.label, one.metadata, one.tools))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
