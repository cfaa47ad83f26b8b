"""Changes an option each time that it is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from slime_hookspecs import hookimpl


@dataclass
class Options:
    """The options."""

    size: int = field(default=3, metadata={"help": "how many"})

    def __post_init__(self) -> None:
        """Count the end token."""
        self.size += 1


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options
