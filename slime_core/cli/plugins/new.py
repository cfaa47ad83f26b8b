"""``slime plugins new NAME --kind KIND``: writes a package to begin a plugin with."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from slime_hookspecs import ConfigError

from slime_core.cli.plugins.arguments import Parser
from slime_core.cli.wording import count
from slime_core.plugins.finding import find
from slime_core.scaffold import KINDS, check_name, files, folder_name, read_kind, write


def main(argv: Sequence[str]) -> int:
    """Write the package. Returns 0."""
    found = _parser().parse_args(argv)
    if found.kind is None:
        raise ConfigError(f"slime plugins new: say which kind, with --kind\n{_kinds()}")
    check_name(found.name, find())
    contents = files(found.name, found.kind, found.author)
    folder = found.directory / folder_name(found.name)
    write(folder, contents)
    print(_what_now(folder, found.name, found.kind, len(contents)))
    return 0


def _parser() -> Parser:
    parser = Parser("new", "Write a package to begin a plugin with: hooks, tests, CI.")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"kinds:\n{_kinds()}"
    parser.add_argument(
        "name", metavar="NAME", help="what runs call it: lower-case words with _ between"
    )
    parser.add_argument("--kind", metavar="KIND", help="what to begin with; see below")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="where the folder slime-plugin-NAME goes; here by default",
    )
    parser.add_argument(
        "--author",
        default="",
        metavar="AUTHOR",
        help="'Name' or 'Name <address>', for pyproject.toml and LICENSE",
    )
    return parser


def _kinds() -> str:
    return "\n".join(f"  {name:<12} {text}" for name, text in KINDS.items())


def _what_now(folder: Path, name: str, kind: str, written: int) -> str:
    told = read_kind(kind)
    first, train = (text.strip().replace("my_task", name) for text in (told.first, told.train))
    commands = (
        f"cd {folder}",
        "pip install -e '.[dev]'",
        "pytest",
        f"slime-conformance {name}",
        train.partition("\n")[0],
    )
    lines = "\n".join(f"  {command}" for command in commands)
    return (
        f"{folder}: {count(written, 'file')}\n\n{lines}\n\n"
        f"Begin with {first}; README.md says what else to edit, and how to publish."
    )
