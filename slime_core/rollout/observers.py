"""Observers: they are told, and whatever they do costs at most a metric and one warning."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any, Final, final

from slime_core.plugins import BoundHook
from slime_core.rollout.blame import cancelled_itself
from slime_core.rollout.timeouts import TimeLimit

TIMEOUT_S: Final = 60.0
LOG = logging.getLogger("slime.rollout")


@final
class Observers:
    """Calls observers apart from each other, and counts their errors."""

    def __init__(self) -> None:
        self._errors: Counter[tuple[str, str]] = Counter()

    @property
    def errors(self) -> int:
        """Errors so far, of all observers."""
        return self._errors.total()

    def metrics(self) -> dict[str, float]:
        """Errors so far as ``rollout/observer_errors``, and by plugin where there are any."""
        found: Counter[str] = Counter({"rollout/observer_errors": self.errors})
        for (plugin, _), count in self._errors.items():
            found[f"rollout/observer_errors/{plugin}"] += count
        return {name: float(count) for name, count in found.items()}

    async def tell(self, hook: BoundHook, *arguments: Any) -> None:
        """Call one observer."""
        try:
            result = hook.call(*arguments)
            if hook.is_async:
                await TimeLimit(TIMEOUT_S, "the limit of observers").run(result)
        except Exception as error:
            self._count(hook, error)
        except asyncio.CancelledError as error:
            if cancelled_itself(hook) is None:
                raise
            self._count(hook, error)

    def _count(self, hook: BoundHook, error: BaseException) -> None:
        key = (hook.plugin, hook.hook)
        self._errors[key] += 1
        if self._errors[key] == 1:
            LOG.warning(
                "plugin %s, hook %s: %s: %s; the run goes on, and further errors are only counted",
                *key,
                type(error).__name__,
                error,
            )
