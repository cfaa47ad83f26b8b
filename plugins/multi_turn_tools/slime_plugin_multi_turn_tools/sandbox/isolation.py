"""What keeps a program from everything else: how strong it is, and what this machine permits."""

from __future__ import annotations

import enum
from typing import Final


class Isolation(enum.StrEnum):
    """What stands between a program and the machine, strongest first."""

    BUBBLEWRAP = "bubblewrap"  #: ``bwrap``, which makes the namespaces
    NAMESPACES = "namespaces"  #: Linux namespaces of our own making
    RLIMITS = "rlimits"  #: limits only: the program sees files, processes and the network

    def is_as_strong_as(self, other: Isolation) -> bool:
        """Whether whoever asks for the other may be given this one."""
        return STRENGTH[self] >= STRENGTH[other]


STRENGTH: Final = {Isolation.BUBBLEWRAP: 2, Isolation.NAMESPACES: 1, Isolation.RLIMITS: 0}
