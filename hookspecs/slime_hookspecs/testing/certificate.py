"""What the suite found, as one record that can be published beside the package."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, final


class Status(enum.StrEnum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"  #: not applicable, exempt, or something is not installed
    EXPECTED_FAILURE = "expected_failure"  #: failed, as the author said it would
    UNEXPECTED_PASS = "unexpected_pass"  #: passed, where the author said it would fail


#: Statuses that withhold the certificate.
BAD = frozenset({Status.FAILED, Status.UNEXPECTED_PASS})


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """One check's outcome.

    Attributes:
        name: Name of the check.
        tier: Its tier.
        status: What became of it.
        seconds: How long it ran.
        message: How the plugin breaks the check.
        reason: Why it was skipped or expected to fail.
    """

    name: str
    tier: str
    status: Status
    seconds: float = 0.0
    message: str = ""
    reason: str = ""


@final
@dataclass(frozen=True, slots=True)
class Certificate:
    """The outcomes of all collected checks on one plugin.

    Attributes:
        suite_version: Version of the suite.
        contract_version: Version of the contract.
        plugin: Name of the entry point.
        distribution: Its distribution.
        version: Version of the distribution.
        digest: Digest of the source that ran.
        capabilities: What the plugin declares that it does.
        outcomes: Each collected check's outcome.
    """

    suite_version: str
    contract_version: str
    plugin: str
    distribution: str
    version: str
    digest: str
    capabilities: tuple[str, ...]
    outcomes: tuple[Outcome, ...]

    def count(self, *statuses: Status) -> int:
        """How many outcomes have one of these statuses."""
        return sum(outcome.status in statuses for outcome in self.outcomes)

    @property
    def ran(self) -> int:
        """How many checks ran."""
        return len(self.outcomes) - self.count(Status.SKIPPED)

    @property
    def ok(self) -> bool:
        """Whether something ran and nothing that ran was bad."""
        return self.ran > 0 and not self.count(*BAD)

    @property
    def summary(self) -> str:
        """One line, short enough for a badge."""
        passed, skipped = self.count(Status.PASSED), self.count(Status.SKIPPED)
        parts = [f"{passed} passed"]
        if bad := self.count(*BAD):
            parts.insert(0, f"{bad} FAILED")
        if expected := self.count(Status.EXPECTED_FAILURE):
            parts.append(f"{expected} expected to fail")
        parts.append(f"{skipped} skipped")
        what = ", ".join(parts) if self.ran else f"FAILED: no check ran, {skipped} skipped"
        return f"{self.plugin} {self.version} · slime conformance {self.suite_version}: {what}"

    def bad(self) -> Iterable[Outcome]:
        """The outcomes that withhold the certificate."""
        return (outcome for outcome in self.outcomes if outcome.status in BAD)

    def to_json(self) -> dict[str, Any]:
        """The certificate as JSON values, with its counts."""
        counts = {
            "collected": len(self.outcomes),
            "run": self.ran,
            **{status.value: self.count(status) for status in Status},
        }
        return {**asdict(self), "ok": self.ok, "counts": counts, "summary": self.summary}
