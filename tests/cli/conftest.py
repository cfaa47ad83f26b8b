"""Plugins made up for one test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

METADATA = """\
Metadata-Version: 2.1
Name: {name}-task
Version: 1.0
Requires-Dist: slime-hookspecs>=0.1,<0.2
"""


@pytest.fixture
def install_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """``install_plugin(name, source)`` puts a plugin of one module where metadata is looked up.

    The modules that were imported from there are forgotten after the test.
    """
    site, before = tmp_path / "site", set(sys.modules)

    def install(name: str, source: str) -> None:
        info = site / f"{name}_task-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}_task.py").write_text(source)
        (info / "METADATA").write_text(METADATA.format(name=name))
        (info / "entry_points.txt").write_text(f"[slime.plugins]\n{name} = {name}_task\n")
        (info / "RECORD").write_text(f"{name}_task.py,,\n")
        monkeypatch.syspath_prepend(str(site))

    yield install
    for module in set(sys.modules) - before:
        if str(site) in (getattr(sys.modules[module], "__file__", None) or ""):
            del sys.modules[module]
