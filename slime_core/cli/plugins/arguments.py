"""What the commands share: a parser whose mistakes are errors like all others, and blocks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from slime_core.plugins import blocks, trust

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
    """``--block``, ``--trust`` and ``--config``: what a run with these would not load."""
    parser.add_argument(
        "--block", action="append", default=[], metavar="NAME", help="as for a run; repeatable"
    )
    parser.add_argument(
        "--trust", action="append", default=[], metavar="DIST", help="as for a run; repeatable"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings file of a run")


def read_blocks(found: argparse.Namespace) -> list[blocks.Rule]:
    """Blocks and trusted distributions of the command line or the file, and the environment."""
    block, trusted = _said(found, "block"), _said(found, "trust")
    return [*blocks.read(*block), *trust.read(*trusted)]


def _said(found: argparse.Namespace, name: str) -> tuple[list[str], str]:
    """A list of names, and who said so: the command line wins over the file."""
    given: list[str] = getattr(found, name)
    if given or found.config is None:
        return given, f"--{name}"
    from slime_core.config.files import read_layer

    return list(read_layer(found.config).values.get((name,), [])), f"{found.config}: {name}"


def picked(names: Sequence[str], rules: Sequence[blocks.Rule]) -> list[Plugin]:
    """The named plugins, or all where none is named.

    Args:
        names: Spellings.
        rules: What ``read_blocks`` returned; settles a name that several distributions claim.

    Raises:
        PluginError: nothing has a name, or several distributions claim it.
    """
    from slime_core.plugins.finding import find, pick

    found = find()
    return [pick(name, found, rules) for name in names] if names else list(found)
