"""Generate beside others: an episode that waits lets the event loop go on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from slime_hookspecs.testing.blocking import Watch, watched
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, _episodes, check
from slime_hookspecs.testing.subject import Subject

HOOKS: Final = ("slime_generate",)


@check("generate.yields", "generate", hooks=HOOKS)
def yields(subject: Subject) -> None:
    """It never sleeps, connects or waits for a process on the event loop's own thread."""
    # What a client finds out of its machine by a process, once, is not what each episode costs.
    for processes in (False, True):
        for prompt in _episodes.prompts(subject):
            with _complaining(subject, processes=processes) as watch:
                work = _episodes.attempt(
                    subject, _episodes.sample(prompt), _episodes.engine(subject)
                )
                answer = _episodes.run(_episodes.ended(work))
            if isinstance(answer, Exception) and not watch.found:
                raise NotApplicable("it raises, which generate.answers reports") from answer


@contextlib.contextmanager
def _complaining(subject: Subject, *, processes: bool) -> Iterator[Watch]:
    """Fails where an episode waited, whatever became of it."""
    with watched(subject.own, processes=processes) as watch:
        try:
            yield watch
        except CheckFailed as error:
            if not watch.found:
                raise NotApplicable(f"{error}, which generate.answers reports") from error
    if watch.found:
        raise CheckFailed(
            f"{watch.found[0]} keeps the event loop, and with it every other sample: await what "
            f"takes long, or hand it to asyncio.to_thread"
        )
