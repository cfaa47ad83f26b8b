"""The registry of checks: each has a name, a tier, and a function that a bad plugin makes fail.

A check is written so::

    @check("reward.finite", "reward", hooks=("slime_reward",))
    def reward_is_finite(subject: Subject) -> None:
        \"\"\"Every reward is a finite number.\"\"\"

It returns where the plugin is right, raises ``CheckFailed`` where it is wrong, and
``NotApplicable`` where there is nothing to check.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, final

from slime_hookspecs.errors import ConfigError

if TYPE_CHECKING:
    from slime_hookspecs.testing.subject import Subject

#: Tiers in the order in which they run.
TIERS: Final = (
    "packaging",
    "declarations",
    "data_source",
    "eval_sets",
    "reward",
    "group_reward",
    "filter",
    "generate",
    "wrap",
    "observe",
    "advantage",
    "loss",
    "execution",
    "resume",
)

Function: TypeAlias = Callable[["Subject"], None]


class CheckFailed(Exception):  # noqa: N818
    """The plugin breaks what the check proves; the message says how, and what would be right."""


class NotApplicable(Exception):  # noqa: N818
    """There is nothing to check here; the message says why."""


@final
@dataclass(frozen=True, slots=True)
class Check:
    """One named check.

    Attributes:
        name: ``<tier>.<snake_case>``.
        tier: Its group.
        proves: First line of its docstring.
        hooks: It applies where the plugin implements any of these; always where there are none.
        needs: Modules that must be installed for it to run.
        capability: It applies only where the plugin declares this.
        timeout_s: Seconds after which its process is killed and the check has failed.
        function: What runs.
    """

    name: str
    tier: str
    proves: str
    hooks: tuple[str, ...]
    needs: tuple[str, ...]
    capability: str | None
    timeout_s: float
    function: Function

    def missing(self) -> list[str]:
        """Modules that it needs and that are not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


_CHECKS: Final[dict[str, Check]] = {}


def check(
    name: str,
    tier: str,
    *,
    hooks: Sequence[str] = (),
    needs: Sequence[str] = (),
    capability: str | None = None,
    timeout_s: float = 20.0,
) -> Callable[[Function], Function]:
    """Registers a function as a check."""
    if tier not in TIERS or not name.startswith(f"{tier}."):
        raise ValueError(f"check {name!r} of tier {tier!r}: names are <tier>.<snake_case>")
    if name in _CHECKS:
        raise ValueError(f"two checks are called {name!r}")

    def register(function: Function) -> Function:
        proves = (inspect.getdoc(function) or "").partition("\n")[0]
        _CHECKS[name] = Check(
            name, tier, proves, tuple(hooks), tuple(needs), capability, timeout_s, function
        )
        return function

    return register


def registered() -> dict[str, Check]:
    """Every check by name, in the order in which they run. Imports the modules of this package."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    ordered = sorted(_CHECKS.values(), key=lambda one: TIERS.index(one.tier))
    return {one.name: one for one in ordered}


def select(wanted: Iterable[str] | None) -> list[Check]:
    """The checks of these names and tiers, in the order in which they run; all for ``None``.

    Raises:
        ConfigError: a name is neither a check nor a tier; names the nearest.
    """
    known = registered()
    if wanted is None:
        return list(known.values())
    names = set(wanted)
    for name in sorted(names - set(known) - set(TIERS)):
        raise ConfigError(f"there is no check or tier {name!r}{nearest(name, [*known, *TIERS])}")
    return [one for one in known.values() if one.name in names or one.tier in names]


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` with the nearest known name, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
