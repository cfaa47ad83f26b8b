"""What the tests share: hostile programs, a look at what they left, and episodes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import Context
from slime_hookspecs.testing.kit import make_context
from slime_hookspecs.testing.kit.clock import children
from slime_plugin_multi_turn_tools import Options
from slime_plugin_multi_turn_tools.sandbox import Isolation, Limits, Sandbox, works

HOSTILE = Path(__file__).parent / "hostile"
#: An interpreter that everybody may run, for levels at which programs are nobody's.
PUBLIC = "/usr/bin/python3"
#: What is in the command lines of supervisors and programs, and of nothing else.
OURS = re.compile(rb"from inside\.\w+ import main|-I\0-B\0-X\0utf8\0/tmp/.*program\.py")
#: Tight, so that each program soon meets its limit.
TIGHT = Limits(wall_s=1.0, cpu_s=1, memory_mb=160, processes=16, disk_mb=4, output_bytes=4096)


#: Tests that run the interpreter of this environment, or this checkout, as somebody else.
AS_SOMEBODY_ELSE = (
    "test_what_the_suite_is_told_fits_the_plugin",
    "test_a_prompt_may_choose_among_the_tools",
    "test_a_program_is_run_in_the_sandbox_and_its_output_observed",
    "test_without_root_the_walls_are_the_same",
    "test_the_tools_are_those_that_the_options_name_in_their_order",
    "test_the_sandbox_is_as_the_options_say",
)


def private_folder() -> Path | None:
    """A folder above this environment that other users may not enter."""
    return next((p for p in Path(sys.prefix).parents if not p.stat().st_mode & 0o001), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In a private folder the sandbox refuses this environment, and says so; that is no fault."""
    if (folder := private_folder()) is not None:
        reason = f"{folder} is private, so that nobody else can run this environment's programs"
        for item in items:
            if getattr(item, "originalname", item.name) in AS_SOMEBODY_ELSE:
                item.add_marker(pytest.mark.skip(reason=reason))


def interpreter(level: Isolation) -> str | None:
    """An interpreter that works at a level on this machine, or ``None``."""
    found = [p for p in (sys.executable, PUBLIC) if Path(p).exists() and works(level, p)]
    return found[0] if found else None


LEVELS = [level for level in Isolation if interpreter(level)]


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> Isolation:
    """Each level of isolation that this machine permits."""
    found: Isolation = request.param
    return found


@pytest.fixture
def levels() -> list[Isolation]:
    """All levels that are tested here."""
    return LEVELS


@pytest.fixture
def make_sandbox(level: Isolation) -> Callable[..., Sandbox]:
    """Makes sandboxes of a level with tight limits; named limits are changed."""

    def make(**changes: Any) -> Sandbox:
        values = {name: getattr(TIGHT, name) for name in Limits.__slots__}
        python = interpreter(level) or sys.executable
        return Sandbox(level, Limits(**{**values, **changes}), python=python)

    return make


@pytest.fixture
def hostile() -> Callable[..., str]:
    """The text of a hostile program, with names in capitals replaced by values."""

    def read(name: str, **values: object) -> str:
        text = (HOSTILE / f"{name}.py").read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(key, repr(value) if isinstance(value, str) else str(value))
        return text

    return read


@pytest.fixture
def left_over() -> Callable[[], list[str]]:
    """Command lines of supervisors and programs that run still, and processes to be waited for."""

    def look() -> list[str]:
        found = [f"child {pid}" for pid in children()]
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and (command := _command(folder)) and OURS.search(command):
                found.append(command.replace(b"\0", b" ").decode()[:200])
        return found

    return look


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Context[Options]]:
    """Makes contexts of a run with these options."""
    return lambda **options: make_context(Options(**options))


def _command(folder: Path) -> bytes:
    """Command line of a process that descends from this one or from nobody, else nothing."""
    try:
        parents = _parents(int(folder.name))
        mine = os.getpid() in parents or len(parents) == 1
        return (folder / "cmdline").read_bytes() if mine else b""
    except OSError:
        return b""  # It ended meanwhile.


def _parents(pid: int) -> list[int]:
    found = []
    while pid > 1:
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
        found.append(pid)
    return found
