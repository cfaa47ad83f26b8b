"""The data source as the core calls it: errors name its plugin, first prompts are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, final

from slime_hookspecs import DataSource, Prompt, RunInfo, promises

from slime_core.plugins import BoundHook
from slime_core.rollout.blame import blame
from slime_core.rollout.live_checks import LiveChecks, refuse


def open_source(hook: BoundHook, run: RunInfo, checks: LiveChecks) -> DataSource:
    """The run's data source, opened."""
    with _blamed(hook, "opening the data"):
        return Watched(hook, hook.call(hook.options, run), checks)


@final
class Watched:
    """A data source whose first calls are checked.

    Attributes:
        take: As the contract says; a checked function at first, a plain one later.
    """

    def __init__(self, hook: BoundHook, source: DataSource, checks: LiveChecks) -> None:
        self._hook = hook
        self._source = source
        self._checks = checks
        self._seen: dict[str, str] = {}
        self.take: Callable[[int], Sequence[Prompt]] = (
            self._checked if checks.left(hook) > 0 else self._plain
        )

    def state(self) -> dict[str, Any]:
        """As the contract says."""
        with _blamed(self._hook, "saving its state"):
            return self._source.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """As the contract says."""
        with _blamed(self._hook, "restoring its state"):
            self._source.restore(state)

    def _plain(self, count: int) -> Sequence[Prompt]:
        with _blamed(self._hook, f"take({count})"):
            return self._source.take(count)

    def _checked(self, count: int) -> Sequence[Prompt]:
        prompts = self._plain(count)
        refuse(self._hook, "take", (promises.wrong_prompts(prompts, count, self._seen),))
        self._checks.kept(self._hook)
        if self._checks.left(self._hook) <= 0:
            self._seen.clear()
            self.take = self._plain
        return prompts


@contextmanager
def _blamed(hook: BoundHook, where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        blame(error, hook, where)
        raise
