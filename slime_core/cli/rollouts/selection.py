"""Which samples were asked for: filters that are read from the command line, and an order."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

from slime_hookspecs.errors import ConfigError

from slime_core.cli.rollouts.rows import Row

Test: TypeAlias = Callable[[Row], bool]

_COMPARE: Final = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_REWARD: Final = re.compile(rf"({'|'.join(_COMPARE)})?\s*(\S+)")


@final
@dataclass(frozen=True, slots=True)
class Selection:
    """Tests that a sample must pass, and the order of those that do."""

    tests: tuple[Test, ...] = ()
    sort: str | None = None
    reverse: bool = False

    def of(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The samples; read to the end before the first comes out only where they are sorted."""
        passed = (row for row in rows if all(test(row) for test in self.tests))
        return passed if self.sort is None else iter(_sorted(passed, self.sort, self.reverse))


def reward_test(text: str) -> Test:
    """``<0.5``, ``>=1``, ``0`` or ``none``, which is a sample that was not scored.

    Raises:
        ConfigError: the text is none of these.
    """
    if text == "none":
        return lambda row: row.reward is None
    found = _REWARD.fullmatch(text.strip())
    try:
        compare, bound = _COMPARE[found[1] or "="], float(found[2])  # type: ignore[index]
    except (TypeError, ValueError):
        raise ConfigError(
            f"--reward {text}: must be a number, one after <, <=, >, >=, = or !=, or none; "
            "quote it, because < and > are the shell's"
        ) from None
    return lambda row: row.reward is not None and compare(row.reward, bound)


def text_test(text: str) -> Test:
    """Whether prompt, label, response or error has a text in it, in capitals or not."""
    wanted = text.casefold()
    return lambda row: any(wanted in said.casefold() for said in _texts(row))


def _texts(row: Row) -> Iterator[str]:
    yield row.response
    yield from _strings(row.prompt)
    yield from _strings(row.error)


def _strings(value: Any) -> Iterator[str]:
    """Every text in a JSON value, and everything else as text."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif value is not None:
        yield str(value)


def steps_of(text: str, there: list[int]) -> list[int]:
    """The steps of ``3``, ``3-5`` or ``last``, of those that are there.

    Raises:
        ConfigError: it is none of these, or no such step was saved.
    """
    if text == "last":
        return there[-1:]
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if found is None:
        raise ConfigError(f"--step {text}: must be a step as 3, steps as 3-5, or last")
    first, last = int(found[1]), int(found[2] or found[1])
    wanted = [step for step in there if first <= step <= last]
    if not wanted:
        raise ConfigError(f"--step {text}: was not saved; there are {ranges(there)}")
    return wanted


def ranges(steps: list[int]) -> str:
    """Ascending steps in words: ``steps 0 to 3, 7``."""
    runs: list[list[int]] = []
    for step in steps:
        if runs and step == runs[-1][-1] + 1:
            runs[-1].append(step)
        else:
            runs.append([step])
    said = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    return f"step{'s' if len(steps) > 1 else ''} {', '.join(said)}"


def _sorted(rows: Iterable[Row], by: str, reverse: bool) -> list[Row]:
    keys: dict[str, Callable[[Row], float]] = {
        "reward": lambda row: -float("inf") if row.reward is None else row.reward,
        "length": lambda row: row.length,
        "time": lambda row: row.times.get("generate_s", 0.0),
    }
    return sorted(rows, key=keys[by], reverse=reverse)
