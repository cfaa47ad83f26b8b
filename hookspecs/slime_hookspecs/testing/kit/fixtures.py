"""Pytest fixtures of the test kit; the suite's pytest plugin imports them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slime_hookspecs.context import AnyContext
from slime_hookspecs.testing.kit.clock import VirtualClock
from slime_hookspecs.testing.kit.engine import ScriptedEngine
from slime_hookspecs.testing.kit.factories import make_context, make_run
from slime_hookspecs.testing.kit.tokenizer import TinyTokenizer


@pytest.fixture
def slime_tokenizer() -> TinyTokenizer:
    """A tokenizer of one token a byte."""
    return TinyTokenizer()


@pytest.fixture
def slime_engine() -> Callable[..., ScriptedEngine]:
    """Makes scripted engines: ``slime_engine(["first turn", "second turn"], faults=[...])``."""
    return ScriptedEngine


@pytest.fixture
def slime_context(tmp_path: Path) -> Callable[..., AnyContext]:
    """Makes contexts whose run directory is a temporary folder: ``slime_context(Options())``."""
    run = make_run(tmp_path)
    return lambda options=None, **fields: make_context(options, **{"run": run, **fields})


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """Runs coroutines on virtual time: ``virtual_clock.run(coroutine)``."""
    return VirtualClock()
