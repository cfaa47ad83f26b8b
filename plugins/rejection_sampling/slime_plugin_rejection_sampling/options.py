"""What a user can set for rejection sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from slime_hookspecs import ConfigError


def _opt(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``rejection_sampling``; each field's help says what it does."""

    accept: Literal["threshold", "best"] = _opt(
        "threshold", "accept answers whose reward reaches the threshold, or the best whatever it is"
    )
    threshold: float = _opt(1.0, "lowest reward of an accepted answer; best ignores it")
    keep: int = _opt(4, "most accepted answers of a prompt, the best and then the shortest; 0: all")
    distinct: bool = _opt(True, "accept the same text once for a prompt and step")
    truncated: bool = _opt(False, "accept answers that a limit of tokens or time cut off")
    dataset: bool = _opt(True, "write what was accepted to a file that plugin sft reads")

    def __post_init__(self) -> None:
        """Refuse what accepts nothing or everything."""
        if not math.isfinite(self.threshold):
            raise ConfigError(
                f"rejection_sampling.threshold is {self.threshold}; give a finite reward, or "
                "accept=best to take the best of each prompt"
            )
        if self.keep < 0:
            raise ConfigError(f"rejection_sampling.keep is {self.keep}, below 0; 0 keeps all")
        if self.accept == "best" and self.keep == 0:
            raise ConfigError(
                "rejection_sampling.accept=best with keep=0 accepts every answer; say how many "
                "of each prompt to keep"
            )
