"""``pytest --slime-plugin NAME``: each conformance check becomes a test with the check's name.

Every pytest run of an environment with this package imports this module, so it imports nothing
else until the option is given or a fixture of the author's test kit is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from slime_hookspecs.context import AnyContext
    from slime_hookspecs.testing.kit import ScriptedEngine, TinyTokenizer, VirtualClock


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


@pytest.fixture
def slime_tokenizer() -> TinyTokenizer:
    """A tokenizer of one token a byte."""
    from slime_hookspecs.testing.kit import TinyTokenizer

    return TinyTokenizer()


@pytest.fixture
def slime_engine() -> Callable[..., ScriptedEngine]:
    """Makes scripted engines: ``slime_engine(["first turn", "second turn"], faults=[...])``."""
    from slime_hookspecs.testing.kit import ScriptedEngine

    return ScriptedEngine


@pytest.fixture
def slime_context(tmp_path: Path) -> Callable[..., AnyContext]:
    """Makes contexts whose run directory is a temporary folder: ``slime_context(Options())``."""
    from slime_hookspecs.testing.kit import make_context, make_run

    run = make_run(tmp_path)
    return lambda options=None, **fields: make_context(options, **{"run": run, **fields})


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """Runs coroutines on virtual time: ``virtual_clock.run(coroutine)``."""
    from slime_hookspecs.testing.kit import VirtualClock

    return VirtualClock()
