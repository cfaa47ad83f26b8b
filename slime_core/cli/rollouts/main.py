"""``slime rollouts RUN``: what the model wrote, in a run that is done, failed or going on.

Exit statuses: 0 shown, 2 the question is wrong or there is nothing that it could be about.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from slime_hookspecs.errors import ConfigError, DataError

from slime_core.cli.plugins.arguments import Parser
from slime_core.cli.plugins.render import document
from slime_core.cli.rollouts.rows import Reading, Row
from slime_core.cli.rollouts.saved_run import SavedRun
from slime_core.cli.rollouts.selection import Selection, Test, reward_test, steps_of, text_test

LIMIT: Final = 10
DESCRIPTION: Final = """\
What the model wrote: a line for each step, or the samples that a filter chooses."""
SORTS: Final = ("reward", "length", "time")


def parser() -> Parser:
    """All options."""
    made = Parser("rollouts", DESCRIPTION)
    made.prog = "slime rollouts"
    made.add_argument("run", type=Path, metavar="RUN", help="run directory, or its rollouts folder")
    choose = made.add_argument_group("which samples")
    choose.add_argument("--step", metavar="N[-M]", help="of these steps; last is the newest")
    choose.add_argument("--sample", type=int, metavar="N", help="the sample of this index")
    choose.add_argument("--group", type=int, metavar="N", help="of this group")
    choose.add_argument("--reward", metavar="TEST", help="'<0.5', '>=1', 0, none is not scored")
    choose.add_argument("--failed", action="store_true", help="masked because something failed")
    choose.add_argument("--stop", metavar="WHY", help="that ended so: stop, length, context, ...")
    choose.add_argument("--contains", metavar="TEXT", help="prompt, label, answer or error has it")
    choose.add_argument(
        "--sort", metavar="KEY", choices=SORTS, help=f"lowest {'|'.join(SORTS)} first"
    )
    choose.add_argument("--reverse", action="store_true", help="highest first")
    choose.add_argument(
        "--limit", type=int, metavar="N", help=f"at most so many, {LIMIT} are shown"
    )
    show = made.add_argument_group("how")
    show.add_argument("--tokens", action="store_true", help="token by token, with log-probs")
    show.add_argument("--full", action="store_true", help="long texts whole")
    show.add_argument("--json", action="store_true", help="print JSON instead of text")
    show.add_argument("--export", type=Path, metavar="FILE", help=".jsonl, .jsonl.zst or .parquet")
    both = made.add_argument_group("compare")
    both.add_argument("--diff", type=Path, metavar="RUN", help="the same samples in another run")
    both.add_argument(
        "--diff-step", type=int, nargs=2, metavar="N", help="the same prompts in two steps"
    )
    return made


def main(argv: Sequence[str]) -> int:
    """Show what is asked for. Returns the exit status."""
    asked = parser().parse_args(argv)
    run = SavedRun.open(asked.run)
    selection = _selection(asked)
    reading = Reading()
    try:
        if asked.diff is not None or asked.diff_step is not None:
            _compare(asked, run, selection, reading)
        elif asked.export is not None:
            _export(asked, selection.of(_rows(asked, run, reading)))
        elif _wants_samples(asked):
            _samples(asked, run, selection.of(_rows(asked, run, reading)))
        else:
            _summary(asked, run, reading)
    finally:
        for note in reading.notes:
            print(f"slime: note: {note}", file=sys.stderr)
    return 0


def _wants_samples(asked: argparse.Namespace) -> bool:
    chosen = (asked.sample, asked.group, asked.reward, asked.stop, asked.contains, asked.sort)
    return any(one is not None for one in (*chosen, asked.step, asked.limit)) or any(
        (asked.failed, asked.tokens, asked.full)
    )


def _selection(asked: argparse.Namespace) -> Selection:
    if asked.reverse and asked.sort is None:
        raise ConfigError(f"--reverse turns the order of --sort {'|'.join(SORTS)}; add that")
    return Selection(tuple(_tests(asked)), asked.sort, asked.reverse)


def _tests(asked: argparse.Namespace) -> Iterator[Test]:
    if asked.sample is not None:
        yield lambda row: row.index == asked.sample
    if asked.group is not None:
        yield lambda row: row.group_index == asked.group
    if asked.reward is not None:
        yield reward_test(asked.reward)
    if asked.failed:
        yield lambda row: row.failed
    if asked.stop is not None:
        yield _stop_test(asked.stop)
    if asked.contains is not None:
        yield text_test(asked.contains)


def _stop_test(stop: str) -> Test:
    from slime_hookspecs.records import StopReason

    known = [reason.value for reason in StopReason if reason is not StopReason.PENDING]
    if stop not in known:
        raise ConfigError(f"--stop {stop}: must be one of {', '.join(known)}")
    return lambda row: row.stop == stop


def _rows(asked: argparse.Namespace, run: SavedRun, reading: Reading) -> Iterator[Row]:
    steps = None if asked.step is None else steps_of(asked.step, list(run.steps))
    return reading.rows(run.paths(steps))


def _summary(asked: argparse.Namespace, run: SavedRun, reading: Reading) -> None:
    from slime_core.cli.rollouts.summary import rendered, summarise

    steps = summarise(reading.rows(run.paths(None)), _metrics(run, reading))
    if asked.json:
        print(document("slime.rollouts.summary/1", steps=[step.values() for step in steps]))
    else:
        print(rendered(steps))


def _metrics(run: SavedRun, reading: Reading) -> dict[int, dict[str, Any]]:
    from slime_core.observe.metrics import read_metrics

    try:
        return {row["step"]: row for row in read_metrics(run.path / "metrics.jsonl")}
    except DataError as error:
        reading.notes.append(str(error))
        return {}


def _samples(asked: argparse.Namespace, run: SavedRun, chosen: Iterator[Row]) -> None:
    if asked.json:
        rows = [_values(row) for row in islice(chosen, asked.limit)]
        print(document("slime.rollouts.samples/1", samples=rows))
        return
    printer = _printer(asked, run)
    show = printer.tokens if asked.tokens else printer.sample
    limit, count = LIMIT if asked.limit is None else asked.limit, 0
    for count, row in enumerate(chosen, start=1):
        if count <= limit:
            show(row)
    printer.line(_counted(count, limit))


def _counted(count: int, limit: int) -> str:
    if count > limit:
        return f"{limit} of {count} samples; --limit {count} shows all"
    return f"{count} sample{'' if count == 1 else 's'}"


def _values(row: Row) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.json.decode(row.line)
    return found


def _printer(asked: argparse.Namespace, run: SavedRun) -> Any:
    from slime_core.cli.rollouts.show import Printer
    from slime_core.cli.rollouts.texts import Tokenizer

    return Printer(Tokenizer(run.model), masks_stale=run.masks_stale, full=asked.full)


def _export(asked: argparse.Namespace, chosen: Iterator[Row]) -> None:
    from slime_core.cli.rollouts.export import check, export

    check(asked.export)
    count = export(islice(chosen, asked.limit), asked.export)
    print(f"{count} sample{'' if count == 1 else 's'} in {asked.export}")


def _compare(
    asked: argparse.Namespace, run: SavedRun, selection: Selection, reading: Reading
) -> None:
    from slime_core.cli.rollouts.pairs import compared

    if asked.diff is not None and asked.diff_step is not None:
        raise ConfigError("--diff and --diff-step exclude each other; leave one out")
    if asked.diff_step is not None:
        steps = [steps_of(str(step), list(run.steps)) for step in asked.diff_step]
        sides = [selection.of(reading.rows(run.paths(one))) for one in steps]
    else:
        runs = (run, SavedRun.open(asked.diff))
        sides = [selection.of(_rows(asked, one, reading)) for one in runs]
    found = compared(*sides, by_prompt=asked.diff_step is not None)
    if not found.pairs:
        raise ConfigError(_nothing_shared(asked))
    if asked.json:
        print(document("slime.rollouts.diff/1", **found.values()))
        return
    _printer(asked, run).comparison(found, LIMIT if asked.limit is None else asked.limit)


def _nothing_shared(asked: argparse.Namespace) -> str:
    if asked.diff_step is not None:
        first, second = asked.diff_step
        return f"steps {first} and {second} share no prompt: the data has not come round yet"
    return f"{asked.run} and {asked.diff} share no sample: same data, seed and steps are needed"
