"""What a program can see of the machine's files: its interpreter and the system's libraries."""

from __future__ import annotations

import functools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from slime_hookspecs import ConfigError

SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
FILES: Final = ("/etc/ld.so.cache",)
PREFIXES: Final = "import sys; print(sys.prefix, sys.base_prefix, sep='\\n')"


@final
@dataclass(frozen=True, slots=True)
class View:
    """Paths of the machine that a program can read.

    Attributes:
        readable: Files and folders.
        links: Symbolic links with what they point to.
    """

    readable: tuple[str, ...]
    links: tuple[tuple[str, str], ...]


@functools.lru_cache(maxsize=8)
def view_of(python: str) -> View:
    """What programs of an interpreter need to see.

    Raises:
        ConfigError: it is no Python that runs here.
    """
    system = [path for path in SYSTEM if Path(path).exists()]
    links = [path for path in system if Path(path).is_symlink()]
    folders = [path for path in system if path not in links]
    files = [path for path in FILES if Path(path).is_file()]
    own = [one for one in prefixes(python) if not any(_within(one, path) for path in folders)]
    readable = (*folders, *files, *_outermost(own))
    return View(readable, tuple((path, os.readlink(path)) for path in links))  # noqa: PTH115


def prefixes(python: str) -> list[str]:
    """Folders in which an interpreter's own files and its packages are."""
    command = [python, "-I", "-c", PREFIXES]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{python}: not a Python that runs here ({error})") from error
    return sorted(set(done.stdout.split("\n")) - {"", "/"})


def _outermost(paths: list[str]) -> list[str]:
    return [one for one in paths if not any(_within(one, p) for p in paths if p != one)]


def _within(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)
