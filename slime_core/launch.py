"""What a run starts from, once the command line, the file and the plugins have been read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from slime_core.config.schema import Config

if TYPE_CHECKING:
    from slime_core.plugins import Bound, Plan


@final
@dataclass(frozen=True, slots=True)
class Launch:
    """A checked request for a run.

    Attributes:
        config: The resolved configuration.
        plan: The frozen plugins.
        bound: Their hooks, bound in this process.
        resume: The run directory to continue, or ``None`` for a new run.
    """

    config: Config
    plan: Plan
    bound: Bound
    resume: Path | None = None
