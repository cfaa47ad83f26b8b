"""Conformance checks as pytest items, with a summary line for each plugin at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, final

import pytest

from slime_hookspecs.errors import UserError
from slime_hookspecs.testing.certificate import BAD, Certificate, Outcome, Status
from slime_hookspecs.testing.checks import Check, select
from slime_hookspecs.testing.runner import Runner
from slime_hookspecs.testing.target import find


class Broken(Exception):  # noqa: N818
    """A check's outcome withholds the certificate."""


@final
class ConformancePlugin:
    """What ``--slime-plugin`` registers with pytest.

    Args:
        names: The plugins to check.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names: Final = names
        self._suites: list[ConformanceSuite] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Add the checks after the tests that were collected."""
        for name in dict.fromkeys(self._names):
            try:
                suite = ConformanceSuite.from_parent(
                    session, name=f"slime[{name}]", nodeid=f"slime[{name}]", plugin=name
                )
            except UserError as error:
                raise pytest.UsageError(str(error)) from error
            self._suites.append(suite)
            items.extend(suite.collect())

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """One line a plugin."""
        for suite in self._suites:
            certificate = suite.certificate()
            terminalreporter.write_line(certificate.summary, green=certificate.ok)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A suite of which no check ran is a failure."""
        ran = [suite for suite in self._suites if suite.certificate().ran]
        if len(ran) < len(self._suites) and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        """End the processes that ran the checks."""
        for suite in self._suites:
            suite.runner.close()


class ConformanceSuite(pytest.Collector):
    """All checks on one plugin."""

    def __init__(self, *, plugin: str, **more: Any) -> None:
        super().__init__(**more)
        self.runner = Runner(find(plugin))
        self.outcomes: list[Outcome] = []

    def collect(self) -> Iterator[ConformanceItem]:
        """An item a check."""
        for one in select(None):
            yield ConformanceItem.from_parent(self, name=one.name, check=one)

    def certificate(self) -> Certificate:
        """The outcomes of the items that ran."""
        return self.runner.certificate(self.outcomes)


class ConformanceItem(pytest.Item):
    """One check on one plugin."""

    def __init__(self, *, check: Check, **more: Any) -> None:
        super().__init__(**more)
        self.check = check

    def runtest(self) -> None:
        """Run the check in the suite's process."""
        suite = self.parent
        assert isinstance(suite, ConformanceSuite)
        outcome = suite.runner.outcome(self.check)
        suite.outcomes.append(outcome)
        if outcome.status is Status.SKIPPED:
            pytest.skip(outcome.reason)
        if outcome.status is Status.EXPECTED_FAILURE:
            pytest.xfail(f"{outcome.reason}: {outcome.message}")
        if outcome.status in BAD:
            raise Broken(outcome.message)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The message alone: a traceback would show the suite and not the plugin."""
        if excinfo.errisinstance(Broken):
            return f"{self.check.proves}\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, int | None, str]:
        """Where pytest says that the test is."""
        # With a domain pytest would write its dots as `::`.
        return str(self.path), None, ""
