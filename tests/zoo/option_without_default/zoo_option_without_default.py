"""Has an option that must always be given."""

from __future__ import annotations

from dataclasses import dataclass, field

from slime_hookspecs import hookimpl


@dataclass
class Options:
    """The options."""

    size: int = field(metadata={"help": "how many"})


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options
