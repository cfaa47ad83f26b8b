"""``slime plugins COMMAND``: finds the command in a table; each is a module of its own.

Exit statuses: 0 all is well, 1 a plugin is broken or a check failed, 2 the question is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final, final

from slime_core.plugins.names import suggestion


@final
@dataclass(frozen=True, slots=True)
class Command:
    """A command: ``main(argv) -> int`` of a module, which is imported when it is asked for."""

    module: str
    help: str


COMMANDS: Final = {
    "list": Command("slime_core.cli.plugins.listing", "what is installed"),
    "info": Command("slime_core.cli.plugins.info", "one plugin: versions, hooks, options"),
    "doctor": Command("slime_core.cli.plugins.doctor", "import each aside, say what is wrong"),
    "check": Command("slime_core.cli.plugins.conformance", "run the conformance suite on one"),
    "lock": Command("slime_core.cli.plugins.locking", "write down exactly what is installed"),
    "schema": Command("slime_core.cli.plugins.schema", "one plugin's options as JSON schema"),
    "new": Command("slime_core.cli.plugins.new", "write a package to begin a plugin with"),
}
"""Every command, in the order of the help."""


def usage() -> str:
    """The help."""
    lines = [f"  {name:<8} {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: slime plugins COMMAND [options]", "", *lines])


def main(argv: Sequence[str]) -> int:
    """Run one command. Returns the exit status."""
    name = argv[0] if argv else ""
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name in COMMANDS:
        return int(import_module(COMMANDS[name].module).main(list(argv[1:])))
    wrong = f"slime: error: there is no slime plugins {name}{suggestion(name, COMMANDS)}\n"
    print((wrong if name else "") + usage(), file=sys.stderr)
    return 2
