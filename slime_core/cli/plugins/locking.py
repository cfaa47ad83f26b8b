"""``slime plugins lock``: writes down exactly what is installed, for ``slime --locked``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slime_hookspecs import ConfigError

from slime_core.cli.plugins.arguments import Parser, add_blocks, picked, read_blocks
from slime_core.cli.wording import count
from slime_core.plugins.blocks import blocker
from slime_core.plugins.finding import find
from slime_core.plugins.lock import FILE, Lock, observe
from slime_core.plugins.trust import OWN


def main(argv: Sequence[str]) -> int:
    """Write the lock. Imports no plugin. Returns 0."""
    parser = Parser("lock", "Write down exactly what is installed, for slime --locked.")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="plugins, held together with the built-in ones; all that are not blocked by default",
    )
    parser.add_argument(
        "--output", type=Path, default=Path(FILE), metavar="FILE", help=f"{FILE} by default"
    )
    add_blocks(parser)
    found = parser.parse_args(argv)
    blocks = read_blocks(found)
    # The built-in ones serve each role that nobody else was asked for, so a run loads them too.
    wanted = [*picked(found.names, blocks), *(one for one in find() if one.distribution == OWN)]
    allowed = [one for one in dict.fromkeys(wanted) if not blocker(one, blocks)]
    lock = Lock(str(found.output), tuple(observe(one) for one in allowed if one.version))
    try:
        found.output.write_text(lock.to_json(), "utf-8")
    except OSError as error:
        raise ConfigError(f"--output {found.output}: {error.strerror}") from None
    print(f"{found.output}: {count(len(lock.plugins), 'plugin')}")
    return 0
