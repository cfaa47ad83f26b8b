"""``pytest --slime-plugin NAME``: each conformance check becomes a test with the check's name.

Every pytest run of an environment with this package imports this module, so it imports nothing
else until the option is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option."""
    group = parser.getgroup("slime", "slime conformance")
    group.addoption(
        "--slime-plugin",
        action="append",
        default=[],
        metavar="NAME",
        help="add the conformance checks of this installed plugin to the tests; repeatable",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register what collects the checks, if the option is given."""
    if names := config.getoption("--slime-plugin"):
        from slime_hookspecs.testing.items import ConformancePlugin

        config.pluginmanager.register(ConformancePlugin(names), "slime_conformance_items")
