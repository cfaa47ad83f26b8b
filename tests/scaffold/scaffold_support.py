"""What tests of generated plugins share: their names, and commands to run on them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slime_core.scaffold import files, folder_name, write

ROOT: Final = Path(__file__).parents[2]

#: Name of the plugin that is made of each kind.
NAMES: Final = {
    "math": "sums",
    "multi-turn": "guess_it",
    "agent": "price_agent",
    "search": "elements",
    "loss": "near_policy",
}


@dataclass(frozen=True)
class Made:
    """A generated plugin.

    Attributes:
        kind: Its kind.
        name: Its name.
        folder: Where it was written.
    """

    kind: str
    name: str
    folder: Path

    @property
    def distribution(self) -> str:
        """What is installed."""
        return folder_name(self.name)

    @property
    def package(self) -> str:
        """What is imported."""
        return f"slime_plugin_{self.name}"


def run(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What a command did, its output as text."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def succeed(command: Sequence[str | Path], folder: Path) -> str:
    """What a command printed; the test fails if the command does."""
    done = run(command, folder)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def make_all(folder: Path) -> dict[str, Made]:
    """One plugin of each kind."""
    made = {}
    for kind, name in NAMES.items():
        place = folder / folder_name(name)
        write(place, files(name, kind, "Ann Example <ann@example.org>"))
        made[kind] = Made(kind, name, place)
    return made
