"""The demo with several seeds, and with a random reward, which must not learn.

Runs ``slime demo`` once a seed, then once more with ``--random-reward``, prints a table and writes
``results/demo_seeds.json``. About three minutes a run on two cores.

    python benchmarks/demo_seeds.py [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("slime-rl", "sglang", "sglang-router", "megatron-core", "ray", "torch", "transformers")


def demo(seed: int, *args: str) -> dict[str, Any]:
    """The result of one demo, with its largest log-prob mismatch."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        command = [sys.executable, "-m", "slime_core.cli", "demo", "--json", "--seed", str(seed)]
        done = subprocess.run(
            [*command, "--out", str(out), *args], stdout=subprocess.PIPE, text=True, check=True
        )
        found: dict[str, Any] = json.loads(done.stdout)
        rows = [json.loads(line) for line in (out / "rl" / "metrics.jsonl").open()]
    mismatch = [row["train/train_rollout_logprob_diff"] for row in rows if row["step"] >= 0]
    return found | {"seed": seed, "max_mean_logprob_diff": max(mismatch)}


def main() -> None:
    """Run all and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = parser.parse_args().seeds
    runs = [demo(seed) | {"scored_by": "exact match"} for seed in seeds]
    runs.append(demo(seeds[0], "--random-reward") | {"scored_by": "chance"})
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    result = {"machine": platform.processor() or platform.machine(), **versions, "runs": runs}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "demo_seeds.json").write_text(json.dumps(result, indent=1) + "\n")
    for run in runs:
        print(json.dumps(run))


if __name__ == "__main__":
    main()
