"""What became of a program in the sandbox."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import final

from slime_plugin_multi_turn_tools.sandbox.isolation import Isolation


class Ended(enum.StrEnum):
    """Why a program ended."""

    EXIT = "exit"  #: by itself
    SIGNAL = "signal"  #: by a signal, e.g. a crash
    WALL = "wall"  #: it took too long
    CPU = "cpu"  #: it computed for too long
    MEMORY = "memory"  #: its processes together held too much memory
    PROCESSES = "processes"  #: it started too many
    OUTPUT = "output"  #: it wrote far too much
    STOPPED = "stopped"  #: nobody waits for it any more
    LOST = "lost"  #: its supervisor died, so that nothing is known of it


@final
@dataclass(frozen=True, slots=True)
class Report:
    """What became of a program.

    Attributes:
        ended: Why it ended.
        status: Exit status, or minus the number of the signal that ended it.
        stdout: What is kept of its standard output.
        stderr: The same of its standard error.
        seconds: How long it took.
        isolation: What kept it from everything else.
    """

    ended: Ended
    status: int
    stdout: str
    stderr: str
    seconds: float
    isolation: Isolation

    @property
    def succeeded(self) -> bool:
        """Whether it ended by itself, with status 0."""
        return self.ended is Ended.EXIT and self.status == 0
