"""How long ``slime --help`` takes, as a multiple of ``pytest --version`` run beside it.

The two alternate, so that whatever else the machine does slows both; the medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

SLIME = [str(Path(sys.executable).with_name("slime")), "--help"]
PYTEST = [str(Path(sys.executable).with_name("pytest")), "--version"]
ALLOWED = 1.5


def seconds(command: Sequence[str]) -> float:
    """Wall-clock seconds of one run."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def measure(rounds: int) -> dict[str, float]:
    """Median seconds of both commands, and the median ratio of the pairs."""
    for command in (SLIME, PYTEST):
        seconds(command)  # fills the file cache and writes byte code
    pairs = [(seconds(SLIME), seconds(PYTEST)) for _ in range(rounds)]
    return {
        "slime_help_s": statistics.median(slime for slime, _ in pairs),
        "pytest_version_s": statistics.median(pytest for _, pytest in pairs),
        "ratio": statistics.median(slime / pytest for slime, pytest in pairs),
    }


def main() -> int:
    """Print the figures as JSON; exit status 1 if the ratio is above what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    result = measure(parser.parse_args().rounds)
    print(json.dumps({name: round(value, 4) for name, value in result.items()}))
    return int(result["ratio"] > ALLOWED)


if __name__ == "__main__":
    raise SystemExit(main())
