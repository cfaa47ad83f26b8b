"""The level of each data set, raised and lowered by the success that is seen.

A level is kept for a window of groups. Then it goes up where the mean of their right answers is at
``raise_at`` or above, down where it is below ``lower_at``, and else the window goes on, without its
oldest group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, final

from slime_hookspecs import DataError, Group, Sample

from slime_plugin_reasoning_gym.datasets import Dataset
from slime_plugin_reasoning_gym.options import Options


@final
class Curriculum:
    """Levels of the data sets that have them, and what was seen at each.

    Attributes:
        levels: The level of each data set now, by name; ``None`` where it never changes.
    """

    def __init__(self, datasets: Sequence[Dataset], options: Options) -> None:
        self._options = options
        self._top = {one.name: one.levels - 1 for one in datasets if options.curriculum}
        self.levels = {one.name: one.recipe.level for one in datasets}
        self._seen: dict[str, list[float]] = {one.name: [] for one in datasets}

    def see(self, group: Group) -> None:
        """Count a group that was scored; those of another level than the present tell nothing."""
        name = str(group.prompt.metadata.get("dataset"))
        level = self.levels.get(name)
        right = [value for sample in group.scored for value in _solved(sample)]
        if level is None or not right or group.prompt.metadata.get("level") != level:
            return
        seen = self._seen[name]
        seen.append(fmean(right))
        del seen[: -self._options.curriculum_window]
        self._move(name, level)

    def _move(self, name: str, level: int) -> None:
        seen = self._seen[name]
        if len(seen) < self._options.curriculum_window or self._top.get(name, -1) < 0:
            return
        success, changed = fmean(seen), level
        if success >= self._options.raise_at:
            changed = min(level + 1, self._top[name])
        elif success < self._options.lower_at:
            changed = max(level - 1, 0)
        if changed != level:
            self.levels[name] = changed
            seen.clear()

    def state(self) -> dict[str, Any]:
        """Levels and windows, as JSON values."""
        return {
            name: {"level": level, "seen": list(self._seen[name])}
            for name, level in self.levels.items()
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with what was seen when ``state`` was called.

        Raises:
            DataError: the state is of other data sets.
        """
        if set(state) != set(self.levels):
            raise DataError(
                f"reasoning_gym's data sets changed since the checkpoint: it had "
                f"{', '.join(sorted(state))}, and now there are {', '.join(sorted(self.levels))}"
            )
        for name, one in state.items():
            self.levels[name], self._seen[name] = one["level"], list(one["seen"])


def _solved(sample: Sample) -> list[float]:
    """Whether this plugin found a sample right, whatever its entry is called."""
    return [r.metrics["solved"] for r in sample.rewards.values() if "solved" in r.metrics]
