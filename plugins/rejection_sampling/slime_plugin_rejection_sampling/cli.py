"""``slime-rejection-sampling``: sample a dataset, train on it, and begin again, in one command."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from slime_hookspecs import ConfigError, RunError, SlimeError

from slime_plugin_rejection_sampling.rounds import (
    Plan,
    gather,
    outcome,
    sampling_command,
    split,
    training_command,
)

USAGE: Final = (
    "slime-rejection-sampling --out FOLDER --model FOLDER [options] "
    "-- SAMPLING OPTIONS [-- TRAINING OPTIONS]"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    try:
        plan = read(sys.argv[1:] if argv is None else argv)
        with _interruptible():
            print(f"model       {rounds(plan)}")
    except SlimeError as error:
        print(f"slime-rejection-sampling: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


def read(arguments: Sequence[str]) -> Plan:
    """The plan that the arguments describe.

    Raises:
        ConfigError: they are wrong.
    """
    own, sampling, training = split(arguments)
    given = _parser().parse_args(own)
    if not sampling:
        raise ConfigError(f"what is to be sampled? Give a task after --, as in {USAGE}")
    for name in ("rounds", "epochs", "batch"):
        if getattr(given, name) < 1:
            raise ConfigError(f"--{name} {getattr(given, name)}: give 1 or more")
    given.out, given.model = given.out.absolute(), given.model.absolute()
    return Plan(**vars(given), sampling=tuple(sampling), training=tuple(training))


def rounds(plan: Plan) -> Path:
    """Carry out all rounds; stages that an earlier call finished are not done again.

    Returns:
        HF folder of the last model.

    Raises:
        RunError: a stage failed.
        DataError: a round accepted nothing.
    """
    model = plan.model
    for number in range(1, plan.rounds + 1):
        folder, base = plan.folder(number), plan.model if plan.start == "first" else model
        _stage(
            f"round {number}, sampling", folder / "sample", sampling_command(plan, number, model)
        )
        rows = gather(folder)
        print(f"round {number}     {rows} conversations in {folder / 'train.jsonl'}", flush=True)
        command = training_command(plan, number, base, rows)
        _stage(f"round {number}, training", folder / "train", command)
        model = Path(str(outcome(folder / "train")["hf"]))
    return model


def _stage(name: str, run_dir: Path, command: Sequence[str]) -> None:
    if outcome(run_dir):
        return
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(command) as child:
        try:
            status = child.wait()
        except KeyboardInterrupt:
            child.terminate()  # After Ctrl-C it is stopping already, and this changes nothing.
            child.wait()
            raise
    if status or not outcome(run_dir):
        raise RunError(f"{name} ended with status {status}; see {run_dir}, and what it printed")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the command the way that Ctrl-C does, so that no stage stays behind."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; --help lists the options")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="slime-rejection-sampling",
        usage=USAGE,
        description="Sample a dataset with the current model, fine-tune on what was accepted.",
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of all rounds")
    add("--model", type=Path, required=True, help="HF folder to begin with")
    add("--rounds", type=int, default=1, help="times to sample and train (default: 1)")
    add("--epochs", type=int, default=2, help="passes over a round's dataset (default: 2)")
    add("--batch", type=int, default=64, help="conversations in an update (default: 64)")
    add(
        "--start",
        choices=("first", "last"),
        default="first",
        help="train the first model anew in each round, as STaR does, or go on with the last",
    )
    add("--seed", type=int, default=0, help="seed of the first round (default: 0)")
    return parser
