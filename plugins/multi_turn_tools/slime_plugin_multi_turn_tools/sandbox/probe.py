"""Which level of isolation this machine permits, found out by trying."""

from __future__ import annotations

import asyncio
import functools
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from slime_hookspecs import ConfigError

from slime_plugin_multi_turn_tools.sandbox.isolation import Isolation
from slime_plugin_multi_turn_tools.sandbox.limits import Limits
from slime_plugin_multi_turn_tools.sandbox.report import Report
from slime_plugin_multi_turn_tools.sandbox.sandbox import Sandbox

#: The first version of bubblewrap that limits the size of a temporary file system.
OLDEST: Final = (0, 8)
HELLO: Final = "import os\nif os.fork() == 0: os._exit(0)\nos.wait()\nprint('hello')"


def strongest(require: Isolation, python: str = sys.executable) -> Isolation:
    """The strongest level that works here.

    Raises:
        ConfigError: none works that is as strong as what is required.
    """
    tried = [level for level in Isolation if level.is_as_strong_as(require)]
    for level in tried:
        if works(level, python):
            return level
    weaker = "" if require is Isolation.RLIMITS else _WEAKER
    raise ConfigError(
        f"multi_turn_tools.require_isolation is {require}, and programs of {python} cannot be "
        f"run here with {' or '.join(tried)}; {_WHAT_HELPS}{weaker}"
    )


_WHAT_HELPS: Final = "install bubblewrap 0.8 or newer (bwrap), or permit user namespaces"
_WEAKER: Final = (
    "; where programs may see this machine's files and network, take "
    "--multi-turn-tools.require-isolation rlimits"
)


@functools.lru_cache(maxsize=32)
def works(level: Isolation, python: str = sys.executable) -> bool:
    """Whether a program runs at this level, and may start another."""
    if level is Isolation.BUBBLEWRAP and not has_bubblewrap():
        return False
    report = _run_now(Sandbox(level, Limits(wall_s=20.0), python=python))
    return report.succeeded and report.stdout == "hello\n"


def has_bubblewrap() -> bool:
    """Whether a bubblewrap is installed that is new enough."""
    path = shutil.which("bwrap")
    if path is None:
        return False
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10)
    return version(done.stdout) >= OLDEST


def version(text: str) -> tuple[int, ...]:
    """The version in what a program says of itself; empty where there is none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else ()


def _run_now(sandbox: Sandbox) -> Report:
    """Run the program in an event loop of its own, as this thread may be in one already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(sandbox.run(HELLO))).result()
