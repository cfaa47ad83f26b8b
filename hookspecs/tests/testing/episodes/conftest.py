"""Plugins written in a test, installed as an installer would."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from slime_hookspecs.testing import Outcome, Subject, run
from slime_hookspecs.testing.target import find

HEAD: Final = """
from __future__ import annotations

import asyncio
import json
import sys

from slime_hookspecs import *
from slime_hookspecs import hookimpl

def conformance(*capabilities, **more):
    return Conformance(capabilities=frozenset(capabilities), **more)

def begin(sample, engine):
    if not len(sample.trace):
        sample.trace.append_prompt(engine.render(sample.prompt.messages))
"""

Install: TypeAlias = Callable[[str], str]
Catch: TypeAlias = Callable[[str, str], Outcome]
Open: TypeAlias = Callable[[str], Subject]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a plugin of this source; gives its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names: list[str] = []

    def install(source: str) -> str:
        name = f"written_{len(names)}"
        names.append(name)
        (tmp_path / f"{name}.py").write_text(f"{HEAD}\n{source}")
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            "Requires-Dist: slime-hookspecs>=0.1,<0.2\n"
        )
        (info / "entry_points.txt").write_text(f"[slime.plugins]\n{name} = {name}\n")
        return name

    yield install
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def catch(install: Install) -> Catch:
    """The outcome of one check on a plugin of this source."""

    def catch(check: str, source: str) -> Outcome:
        (outcome,) = run(install(source), [check]).outcomes
        return outcome

    return catch


@pytest.fixture
def subject(install: Install) -> Open:
    """A plugin of this source, as checks see it, in this process."""
    return lambda source: Subject(find(install(source)))
