"""Runs checks on a plugin, each in a process that is killed when the check's time is up."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from slime_hookspecs.contract import API_VERSION
from slime_hookspecs.errors import PluginError
from slime_hookspecs.testing import SUITE_VERSION
from slime_hookspecs.testing.certificate import Certificate, Outcome, Status
from slime_hookspecs.testing.checks import (
    Check,
    CheckFailed,
    NotApplicable,
    nearest,
    registered,
    select,
)
from slime_hookspecs.testing.child import Child, ChildDied, ChildRaised
from slime_hookspecs.testing.subject import Subject
from slime_hookspecs.testing.target import Target, find

#: Seconds in which a plugin must be imported and say what it does.
DECLARE_TIMEOUT_S: Final = 45.0


@final
@dataclass(frozen=True, slots=True)
class Declared:
    """What the suite must know of a plugin before it runs checks.

    Attributes:
        hooks: Names of the hooks that it implements.
        capabilities: What it does.
        exempt: Checks that it is not held to, with reasons.
        expected_failures: Checks that it will fail, with reasons.
        digest: Digest of its source.
        error: A mistake of the author that makes the suite unable to run.
    """

    hooks: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    exempt: dict[str, str] | None = None
    expected_failures: dict[str, str] | None = None
    digest: str = "unknown"
    error: str = ""


def run(name: str, select: Iterable[str] | None = None) -> Certificate:
    """Run the suite on an installed plugin.

    Args:
        name: Its entry name, or ``distribution:entry``.
        select: Names of checks and tiers; all where it is not given.

    Raises:
        UserError: there is no such plugin or check, or ``slime_conformance`` is wrong.
    """
    with Runner(find(name)) as runner:
        return runner.certificate(runner.outcomes(select))


@final
class Runner:
    """Runs checks on one plugin, in one process as long as that lives. A context manager."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._child: Child | None = None
        self.declared = self._declare()

    def outcomes(self, wanted: Iterable[str] | None = None) -> Iterator[Outcome]:
        """Run the checks of these names and tiers, one after the other."""
        return (self.outcome(one) for one in select(wanted))

    def outcome(self, one: Check) -> Outcome:
        """Run one check."""
        if reason := self._why_not(one):
            return Outcome(one.name, one.tier, Status.SKIPPED, reason=reason)
        start = time.perf_counter()
        try:
            status, text = self._serving().call(perform, one.name, timeout_s=one.timeout_s)
        except (ChildDied, ChildRaised) as error:
            self.close()
            status, text = Status.FAILED.value, f"the check {error}"
        seconds = round(time.perf_counter() - start, 3)
        return self._judge(one, Status(status), text, seconds)

    def certificate(self, outcomes: Iterable[Outcome]) -> Certificate:
        """The outcomes as a certificate."""
        target = self._target
        return Certificate(
            SUITE_VERSION,
            API_VERSION,
            target.entry,
            target.distribution,
            target.version,
            self.declared.digest,
            self.declared.capabilities,
            tuple(outcomes),
        )

    def close(self) -> None:
        """End the process and all that it started."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serving(self) -> Child:
        if self._child is None:
            self._child = Child(self._target, group=True)
        return self._child

    def _declare(self) -> Declared:
        try:
            told = Declared(**self._serving().call(declare, timeout_s=DECLARE_TIMEOUT_S))
        except (ChildDied, ChildRaised) as error:
            self.close()
            told = Declared(error=f"plugin {self._target.display}: slime_conformance: {error}")
        if told.error:
            self.close()
            raise PluginError(told.error)
        return told

    def _why_not(self, one: Check) -> str:
        if one.name in (exempt := self.declared.exempt or {}):
            return f"exempt: {exempt[one.name]}"
        if one.hooks and not set(one.hooks) & set(self.declared.hooks):
            return f"the plugin has no {' or '.join(one.hooks)}"
        if one.capability and one.capability not in self.declared.capabilities:
            return f"the plugin does not declare {one.capability!r}"
        if missing := one.missing():
            return f"needs {', '.join(missing)}, not installed here"
        return ""

    def _judge(self, one: Check, status: Status, text: str, seconds: float) -> Outcome:
        expected = (self.declared.expected_failures or {}).get(one.name, "")
        if expected and status is Status.FAILED:
            status = Status.EXPECTED_FAILURE
        elif expected and status is Status.PASSED:
            status, text = Status.UNEXPECTED_PASS, "it passed, and was expected to fail"
        skipped = status is Status.SKIPPED
        message, reason = ("", text) if skipped else (text, expected)
        return Outcome(one.name, one.tier, status, seconds, message, reason)


def declare(subject: Subject, _: Any) -> dict[str, Any]:
    """What ``Declared`` holds, found out in the process that runs the checks."""
    try:
        told = subject.conformance
        known = registered()
        for field in ("exempt", "expected_failures"):
            for name in getattr(told, field):
                if name not in known:
                    raise PluginError(
                        f"plugin {subject.display}: Conformance.{field} names {name!r}, "
                        f"and there is no such check{nearest(name, known)}"
                    )
    except NotApplicable:
        return {}
    except PluginError as error:
        return {"error": str(error)}
    return {
        "hooks": list(subject.hooks),
        "capabilities": sorted(told.capabilities),
        "exempt": dict(told.exempt),
        "expected_failures": dict(told.expected_failures),
        "digest": subject.digest,
    }


def perform(subject: Subject, name: str) -> tuple[str, str]:
    """Run a check in this process: its status and what it says."""
    try:
        registered()[name].function(subject)
    except NotApplicable as error:
        return Status.SKIPPED.value, str(error)
    except (CheckFailed, AssertionError) as error:
        return Status.FAILED.value, str(error) or _place(error)
    except Exception as error:
        return Status.FAILED.value, f"{type(error).__name__}: {error}{_place(error)}"
    return Status.PASSED.value, ""


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    return f" ({Path(last.filename).name}:{last.lineno})" if last else ""
