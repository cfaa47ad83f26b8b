"""Trains a tiny model on a plugin's own task, from nothing, on two CPU cores, and a control.

First the form: a few hundred updates on demonstrations of a teacher that does the task badly. Then
reinforcement learning with the plugin's reward; and once more with a reward that knows nothing,
which must not learn. Prints what was measured and writes ``results/train_<plugin>.json``.

    python benchmarks/train_plugins.py agent_gym [--seed 0] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("slime-rl", "sglang", "sglang-router", "megatron-core", "ray", "torch", "transformers")
SLIME = (sys.executable, "-m", "slime_core.cli")
#: Steps at either end of a run whose rewards are compared.
ENDS = 5

Words: TypeAlias = Mapping[str, Any]

SFT: Words = {
    "--plugin": "sft",
    "--rollout-samples-per-prompt": 1,
    "--train-updates-per-step": 10,
    "--train-lr-schedule": "cosine",
    "--train-lr-warmup": 20,
    "--train-lr-min-ratio": 0.1,
    "--megatron-lr": 2e-3,
    "--megatron-weight-decay": 0.01,
    "--megatron-adam-beta2": 0.98,
    "--engine-servers": 0,
    "--checkpoint-every": 0,
}
RL: Words = {
    "--rollout-prompts-per-step": 32,
    "--rollout-samples-per-prompt": 8,
    "--policy-loss.clip-high": 0.28,
    "--train-updates-per-step": 2,
    "--train-lr-warmup": 5,
    "--megatron-lr": 5e-4,
    "--megatron-weight-decay": 0.0,
    "--megatron-adam-beta2": 0.98,
    "--checkpoint-every": 0,
}


@dataclass(frozen=True)
class Recipe:
    """How a tiny model learns a plugin's task.

    Attributes:
        demonstrate: Writes the task's files into a folder with a seed; returns further options of
            the reinforcement learning, and the demonstrations under ``--sft.data``.
        sft_steps: Steps of ten updates.
        sft_batch: Demonstrations an update.
        rl_steps: Steps of reinforcement learning.
        rl: Options of it.
        measured: What held-out metric is compared.
    """

    demonstrate: Callable[[Path, int], Words]
    sft_steps: int
    sft_batch: int
    rl_steps: int
    measured: str
    rl: Words = field(default_factory=dict)


def number_guessing(folder: Path, seed: int) -> Words:
    """Find one of seven numbers in three guesses; the teacher picks any that is still possible."""
    from slime_plugin_agent_gym import Options
    from slime_plugin_agent_gym.tasks import write

    game = {"most": 7, "guesses": 3}
    options = Options(env="number_guessing", env_args=game)
    path = write(folder / "demonstrations.jsonl", options, 8_000, seed=seed)
    return {"--sft.data": path, "--agent-gym.env-args": json.dumps(game)}


def products(folder: Path, seed: int) -> Words:
    """Products that take the calculator; the teacher guesses seven times in ten."""
    from slime_plugin_multi_turn_tools.tasks import write_demonstrations

    path = write_demonstrations(folder / "demonstrations.jsonl", 20_000, seed=seed)
    return {"--sft.data": path}


def codes(folder: Path, seed: int) -> Words:
    """Codes that nobody can know without a search; the teacher searches every other time."""
    from slime_plugin_search_r1.tasks import OPTIONS, write_task

    files = write_task(folder, conversations=20_000, seed=seed)
    given = {f"--search-r1.{name.replace('_', '-')}": value for name, value in OPTIONS.items()}
    return {
        "--sft.data": files["conversations"],
        "--search-r1.corpus": files["corpus"],
        "--search-r1.data": files["train"],
        "--search-r1.eval-data": files["held_out"],
        **given,
    }


RECIPES = {
    "agent_gym": Recipe(
        number_guessing,
        sft_steps=25,
        sft_batch=32,
        rl_steps=60,
        measured="eval/heldout/return",
        rl={
            "--agent-gym.env": "number_guessing",
            "--agent-gym.turn-tokens": 4,
            "--agent-gym.max-turns": 3,
            # Else a step's few numbers, rather than the way to them, are what is learned first.
            "--agent-gym.same-start": "false",
            "--rollout-max-response-tokens": 16,
        },
    ),
    "multi_turn_tools": Recipe(
        products,
        sft_steps=60,
        sft_batch=32,
        rl_steps=20,
        measured="eval/heldout_greedy/accuracy",
        rl={
            "--multi-turn-tools.task": "products",
            "--multi-turn-tools.eval-samples-per-prompt": 0,
            "--sglang-tool-call-parser": "qwen25",
            "--rollout-max-response-tokens": 128,
        },
    ),
    "search_r1": Recipe(
        codes,
        sft_steps=60,
        sft_batch=32,
        rl_steps=16,
        measured="eval/held_out/exact_match",
        rl={"--rollout-max-response-tokens": 64},
    ),
}


def slime(run_dir: Path, *tables: Words) -> list[dict[str, float]]:
    """Run ``slime``; the rows of its metrics."""
    words = [
        word
        for table in tables
        for name, value in table.items()
        for one in (value if isinstance(value, list) else [value])
        for word in ([f"--no-{name[2:]}"] if one is False else [name, str(one)])
    ]
    command = [*SLIME, *words, "--run-dir", str(run_dir)]
    subprocess.run(command, stdout=sys.stderr, check=True)
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").open()]


def trained(run_dir: Path) -> Path:
    """The HF folder of a run's last checkpoint."""
    return max((run_dir / "checkpoints").iterdir()) / "hf"


def told(rows: list[dict[str, float]], recipe: Recipe, plugin: str) -> dict[str, Any]:
    """What a run came to."""
    rewards = [row[f"reward/{plugin}"] for row in rows if row["step"] >= 0]
    held_out = [row[recipe.measured] for row in rows if recipe.measured in row]
    return {
        "steps": len(rewards),
        "sampled_first": fmean(rewards[:ENDS]),
        "sampled_last": fmean(rewards[-ENDS:]),
        "held_out_first": held_out[0],
        "held_out_last": held_out[-1],
        "rewards": rewards,
    }


def measure(plugin: str, seed: int, folder: Path) -> dict[str, Any]:
    """Cold start, reinforcement learning, and the control."""
    recipe = RECIPES[plugin]
    common = {"--seed": seed}
    (folder / "task").mkdir()
    subprocess.run(
        [*SLIME, "demo", "--model-only", "--seed", str(seed), "--out", str(folder / "base")],
        stdout=sys.stderr,
        check=True,
    )
    model = folder / "base" / "model"
    task = dict(recipe.demonstrate(folder / "task", seed))
    data = {"--sft.data": task.pop("--sft.data"), "--steps": recipe.sft_steps}
    batch = {"--rollout-prompts-per-step": recipe.sft_batch * 10}
    began = time.monotonic()
    slime(folder / "sft", SFT, common, {"--model": model}, data, batch)
    took = {"sft": time.monotonic() - began}
    rl = {"--steps": recipe.rl_steps, "--eval-every": recipe.rl_steps // 4} | recipe.rl | task
    runs = {}
    for name, plugins in {
        "reward": {"--plugin": plugin},
        "control": {"--plugin": [plugin, "random_reward"], "--reward-weight": f"{plugin}=0"},
    }.items():
        began = time.monotonic()
        rows = slime(folder / name, RL, common, rl, {"--model": trained(folder / "sft")}, plugins)
        took[name] = time.monotonic() - began
        runs[name] = told(rows, recipe, plugin)
    return {"plugin": plugin, "seed": seed, "seconds": took, **runs}


def main() -> None:
    """Train, and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("plugin", choices=sorted(RECIPES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a new folder for model, data and runs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(given.plugin, given.seed, folder)
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    result = {"machine": platform.processor() or platform.machine(), **versions, **found}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"train_{given.plugin}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    for name in ("reward", "control"):
        print(json.dumps({"run": name} | {k: v for k, v in found[name].items() if k != "rewards"}))


if __name__ == "__main__":
    main()
