"""What the commands share: a parser whose mistakes are errors like all others, and blocks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from slime_core.plugins import blocks

if TYPE_CHECKING:
    from slime_core.plugins.installed import Plugin


class Parser(argparse.ArgumentParser):
    """A parser of one command's arguments."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(
            prog=f"slime plugins {command}", description=description, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments with exit status 2."""
        from slime_hookspecs.errors import ConfigError

        raise ConfigError(f"{self.prog}: {message}")


def add_json(parser: Parser) -> None:
    """``--json``: for programs; the shape is versioned by its ``schema``."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def add_blocks(parser: Parser) -> None:
    """``--block`` and ``--config``: what a run with these would block."""
    parser.add_argument(
        "--block", action="append", default=[], metavar="NAME", help="as for a run; repeatable"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings file of a run")


def read_blocks(found: argparse.Namespace) -> list[blocks.Block]:
    """The blocks of the command line or the file, and of the environment."""
    if found.block or found.config is None:
        return blocks.read(found.block, "--block")
    from slime_core.config.files import read_layer

    said = read_layer(found.config).values.get(("block",), [])
    return blocks.read(said, f"{found.config}: block")


def picked(names: Sequence[str]) -> list[Plugin]:
    """The named plugins, or all where none is named.

    Raises:
        PluginError: nothing has a name, or several distributions claim it.
    """
    from slime_core.plugins.finding import find, pick

    found = find()
    return [pick(name, found) for name in names] if names else list(found)
