"""Has an option that says nothing of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from slime_hookspecs import hookimpl


@dataclass
class Options:
    """The options."""

    size: int = 3
    name: str = field(default="x", metadata={"help": "what to call it"})


@hookimpl
def slime_options() -> type:
    """The options class."""
    return Options
