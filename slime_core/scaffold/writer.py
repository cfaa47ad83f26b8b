"""Writes a new folder whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from slime_hookspecs import ConfigError

#: What a new folder may be used for, before the user's mask.
FOLDER_MODE: Final = 0o777


def write(folder: Path, contents: Mapping[Path, str]) -> None:
    """Write files beside the folder's place and move them there in one step.

    Args:
        folder: Where they go; there is nothing yet, or an empty folder.
        contents: Content by path, relative to the folder.

    Raises:
        ConfigError: something is there already, or the place cannot be written.
    """
    if not folder.parent.is_dir():
        raise ConfigError(f"--directory {folder.parent}: there is no such folder")
    if folder.is_symlink() or (folder.exists() and not _is_empty(folder)):
        raise ConfigError(_in_the_way(folder))
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ConfigError(f"--directory {folder.parent}: {error.strerror}") from error
    try:
        for path, text in contents.items():
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            (aside / path).write_text(text, "utf-8")
        aside.chmod(FOLDER_MODE & ~_mask())
        aside.rename(folder)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _in_the_way(folder: Path) -> str:
    what = "there are files in it" if folder.is_dir() else "it is no folder"
    return (
        f"{folder} is there already, and {what}\n"
        f"  take another name, or another place: --directory DIR"
    )


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
