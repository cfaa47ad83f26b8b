"""Runs checks on a plugin, each in a process that is killed when the check's time is up."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, final

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
from slime_hookspecs.testing.child import Child
from slime_hookspecs.testing.raised import ChildDied, ChildRaised, uncaught
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
        broken: Hooks that it means to implement and that nobody can call, with why.
        digest: Digest of its source.
        error: A mistake of the author that makes the suite unable to run.
    """

    hooks: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    exempt: dict[str, str] | None = None
    expected_failures: dict[str, str] | None = None
    broken: dict[str, str] | None = None
    digest: str = "unknown"
    error: str = ""


class Finding(NamedTuple):
    """What a check found. ``mistake`` tells what an exception comes from, as ``raised`` says."""

    status: str
    text: str = ""
    mistake: str = ""


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
        self._reported: dict[str, str] = {}
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
            answer = self._serving().call(perform, one.name, timeout_s=one.timeout_s)
            found = Finding(*answer)
        except (ChildDied, ChildRaised) as error:
            self.close()
            found = Finding(Status.FAILED, f"the check {error}")
        seconds = round(time.perf_counter() - start, 3)
        return self._judge(one, found, seconds)

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
        broken = self.declared.broken or {}
        if one.tier not in ("packaging", "declarations") and "slime_conformance" in broken:
            return broken["slime_conformance"]
        if one.hooks and not set(one.hooks) & set(self.declared.hooks):
            absent = f"the plugin has no {' or '.join(one.hooks)}"
            return next((broken[hook] for hook in one.hooks if hook in broken), absent)
        if one.capability and one.capability not in self.declared.capabilities:
            return f"the plugin does not declare {one.capability!r}"
        if missing := one.missing():
            return f"needs {', '.join(missing)}, not installed here"
        return ""

    def _judge(self, one: Check, found: Finding, seconds: float) -> Outcome:
        status, text = Status(found.status), found.text
        expected = (self.declared.expected_failures or {}).get(one.name, "")
        if status is Status.FAILED and not expected and (first := self._reported_by(one, found)):
            status, text = Status.SKIPPED, f"{first} reports the same: {found.mistake}"
        elif expected and status is Status.FAILED:
            status = Status.EXPECTED_FAILURE
        elif expected and status is Status.PASSED:
            status, text = Status.UNEXPECTED_PASS, "it passed, and was expected to fail"
        skipped = status is Status.SKIPPED
        message, reason = ("", text) if skipped else (text, expected)
        return Outcome(one.name, one.tier, status, seconds, message, reason)

    def _reported_by(self, one: Check, found: Finding) -> str:
        """The check that failed before by the same mistake, or nothing.

        A check that the author expects to fail reports nothing to the user, and is never that one.
        """
        first = self._reported.setdefault(found.mistake, one.name) if found.mistake else one.name
        return "" if first == one.name else first


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
        "broken": subject.broken,
        "digest": subject.digest,
    }


def perform(subject: Subject, name: str) -> Finding:
    """Run a check in this process: its status, what it says, and of which mistake."""
    try:
        registered()[name].function(subject)
    except NotApplicable as error:
        return Finding(Status.SKIPPED, str(error))
    except CheckFailed as error:
        cause = error.__cause__
        return Finding(Status.FAILED, str(error), subject.mistake(cause) if cause else "")
    except Exception as error:
        return Finding(Status.FAILED, uncaught(error, subject.own), subject.mistake(error))
    return Finding(Status.PASSED)
