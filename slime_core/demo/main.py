"""``slime demo``: make a tiny model, teach it badly, then let a reward teach it well."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from slime_hookspecs.errors import ConfigError, PluginError

from slime_core.cli.wording import count
from slime_core.demo.commands import SFT_BATCH, SLIME, Settings, rl_options, sft_options
from slime_core.demo.data import write_sloppy_sft
from slime_core.demo.process import run_stage
from slime_core.demo.result import Result, collect, lines
from slime_core.observe.rundir import RunDir
from slime_core.placement.layout import local_gpus

Say = Callable[[str], None]

_TASKS: Final = {
    "slime_plugin_sft": "slime-plugin-sft",
    "slime_plugin_math_dapo": "slime-plugin-math-dapo",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and show what it found. Returns the exit status."""
    arguments = _parser().parse_args(argv)
    settings = _settings(arguments)
    if arguments.model_only:
        print(model_only(settings))
        return 0
    result = demo(settings, say=_say, quiet=arguments.json)
    if arguments.json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        print("\n".join(["", *lines(result)]))
    return 0


def demo(settings: Settings, *, say: Say, quiet: bool = False) -> Result:
    """Carry out all stages.

    Args:
        settings: What was asked for.
        say: Takes a line before each stage.
        quiet: Keep standard output free of what the stages print.

    Raises:
        ConfigError: the folder is not free.
        PluginError: a task that the demo needs is not installed.
        RunError: a stage failed.
    """
    began = time.monotonic()
    _check(settings)
    say(f"1/3  model and data      {settings.out}")
    gpu = _make_model(settings)
    made_s = time.monotonic() - began
    say(f"2/3  cold start (SFT)    {settings.sft_updates} updates of {SFT_BATCH}, no servers")
    run_stage("cold start", [*SLIME, *sft_options(settings)], quiet=quiet)
    model = _trained(settings.sft_run)
    steps = count(settings.steps, "step")
    say(f"3/3  RL                  {steps} of 32 prompts x 8 samples")
    run_stage("RL", [*SLIME, *rl_options(settings, model, local_gpus())], quiet=quiet)
    return collect(settings, made_s, time.monotonic() - began, gpu)


def model_only(settings: Settings) -> str:
    """Write the model of random weights and start nothing; say where it is.

    Raises:
        ConfigError: the folder is not free.
    """
    from slime_core.demo.model import CONTEXT, make_tiny_model

    _check_free(settings)
    make_tiny_model(settings.model, settings.seed)
    return f"--model {settings.model}   random weights, a context of {CONTEXT} tokens"


def _make_model(settings: Settings) -> bool:
    """Write model and data; say whether there is a GPU."""
    import torch

    from slime_core.demo.model import make_tiny_model

    settings.out.mkdir(parents=True, exist_ok=True)
    make_tiny_model(settings.model, settings.seed)
    write_sloppy_sft(settings.data, settings.sft_updates * SFT_BATCH, settings.seed)
    return bool(torch.cuda.is_available())


def _trained(run_dir: Path) -> Path:
    hf = RunDir.open(run_dir).read_summary().get("hf")
    if hf is None:
        raise ConfigError(f"{run_dir}: the cold start left no HF model in its summary.json")
    return Path(hf)


def _check(settings: Settings) -> None:
    _check_free(settings)
    missing = [dist for module, dist in _TASKS.items() if not importlib.util.find_spec(module)]
    if missing:
        raise PluginError(f"the demo needs its tasks: pip install {' '.join(missing)}")


def _check_free(settings: Settings) -> None:
    if settings.out.is_dir() and any(settings.out.iterdir()):
        raise ConfigError(f"demo --out {settings.out}: is not empty; give a new folder")


def _settings(arguments: argparse.Namespace) -> Settings:
    if arguments.steps < 1:
        raise ConfigError(f"demo --steps {arguments.steps}: give 1 or more")
    out = arguments.out or Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S")
    return Settings(
        out=out.absolute(),
        seed=arguments.seed,
        steps=arguments.steps,
        random_reward=arguments.random_reward,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"demo: {message}; slime demo --help lists its options")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="slime demo",
        description="Train a tiny model to add, on two CPU cores: SFT, then RL. Some minutes.",
    )
    parser.add_argument("--out", type=Path, help="a new folder; runs/demo-<time> if unset")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    parser.add_argument("--steps", type=int, default=60, help="RL steps (default: 60)")
    parser.add_argument(
        "--random-reward",
        action="store_true",
        help="the control that must fail: a reward that knows nothing",
    )
    parser.add_argument(
        "--model-only",
        action="store_true",
        help="only write the tiny model, of random weights, and say where it is",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
