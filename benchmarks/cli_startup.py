"""How long ``slime --help`` and ``slime plugins list`` take beside 50 plugins, in ``pytest``s.

A folder of 50 made-up plugins stands on the path of all three commands. They alternate, so that
whatever else the machine does slows each; the figure is the median of the ratios of neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

PLUGINS: Final = 50
ALLOWED: Final = 1.2
BESIDE: Final = ("pytest", "--version")
COMMANDS: Final = {"help": ("slime", "--help"), "list": ("slime", "plugins", "list")}
RESULTS: Final = Path(__file__).parent / "results" / "cli_startup.json"

METADATA: Final = """\
Metadata-Version: 2.4
Name: slime-plugin-{name}
Version: 1.0
Summary: Rewards for {name}
License-Expression: Apache-2.0
Requires-Python: >=3.11
Requires-Dist: slime-hookspecs<0.2,>=0.1
Requires-Dist: packaging
Provides-Extra: test
Requires-Dist: pytest>=8; extra == "test"
Description-Content-Type: text/markdown

"""


def main() -> int:
    """Print the figures as JSON; exit status 1 if a ratio is above what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="write results/cli_startup.json")
    found = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slime-startup-") as folder:
        install(Path(folder), PLUGINS)
        result = measure(found.rounds, {**os.environ, "PYTHONPATH": folder})
    result["ok"] = all(one["ratio"] <= ALLOWED for one in result["commands"].values())
    text = json.dumps(result, indent=1)
    print(text)
    if found.write:
        RESULTS.write_text(text + "\n")
    return int(not result["ok"])


def install(folder: Path, plugins: int) -> None:
    """Make distributions as an installer leaves them; importing one of their modules fails."""
    for number in range(plugins):
        name = f"fake_{number}"
        info = folder / f"slime_plugin_{name}-1.0.dist-info"
        info.mkdir()
        (folder / f"slime_plugin_{name}.py").write_text("raise RuntimeError('imported')\n")
        (info / "METADATA").write_text(METADATA.format(name=name) + "About it.\n" * 200)
        (info / "entry_points.txt").write_text(f"[slime.plugins]\n{name} = slime_plugin_{name}\n")
        (info / "RECORD").write_text(f"slime_plugin_{name}.py,,\n")


def measure(rounds: int, environ: Mapping[str, str]) -> dict[str, Any]:
    """Median seconds of every command, and the median ratio of the pairs."""
    for command in (BESIDE, *COMMANDS.values()):
        seconds(command, environ)  # fills the file cache and writes byte code
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            taken[name].append((seconds(command, environ), seconds(BESIDE, environ)))
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("slime-rl", "pytest", "importlib-metadata")},
        "plugins": PLUGINS,
        "rounds": rounds,
        "allowed": ALLOWED,
        "commands": {name: _figures(pairs) for name, pairs in taken.items()},
    }


def _figures(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    return {
        "slime_s": round(statistics.median(slime for slime, _ in pairs), 4),
        "pytest_version_s": round(statistics.median(pytest for _, pytest in pairs), 4),
        "ratio": round(statistics.median(slime / pytest for slime, pytest in pairs), 3),
    }


def seconds(command: Sequence[str], environ: Mapping[str, str]) -> float:
    """Wall-clock seconds of one run."""
    program, *arguments = command
    line = [str(Path(sys.executable).with_name(program)), *arguments]
    start = time.perf_counter()
    subprocess.run(line, check=True, capture_output=True, env=dict(environ))
    return time.perf_counter() - start


if __name__ == "__main__":
    raise SystemExit(main())
