"""``slime-search-r1``: index a corpus, serve it, write a small task."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, final

from slime_hookspecs import DataError, SlimeError

NAME: Final = "slime-search-r1"
#: Seconds between two lines of progress.
EVERY_S: Final = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except SlimeError as error:
        _say(f"error: {error}")
        return error.exit_status
    except OSError as error:
        _say(f"error: {error}")
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(NAME, description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    index = commands.add_parser("index", help="index a corpus into a folder")
    index.add_argument("corpus", type=Path, help='rows like {"id": "1", "contents": "..."}')
    index.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder")
    index.add_argument(
        "--max-bad-lines",
        type=_whole,
        default=100,
        metavar="N",
        help="bad lines to leave out; one more is an error (100)",
    )
    index.set_defaults(run=_index)
    serve = commands.add_parser("serve", help="serve an index over HTTP until SIGTERM")
    serve.add_argument("--index", type=Path, required=True, metavar="DIR", help="its folder")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=_port, default=8000, help="port, 0 for any free one (8000)")
    serve.set_defaults(run=_serve)
    task = commands.add_parser("task", help="write a small task: corpus, questions, conversations")
    task.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder")
    task.add_argument("--facts", type=_whole, default=2000, help="facts in the corpus (2000)")
    task.add_argument("--conversations", type=_whole, default=20_000, help="to imitate (20000)")
    task.add_argument("--seed", type=int, default=0, help="seed of all of it (0)")
    task.set_defaults(run=_task)
    return parser


def _index(options: argparse.Namespace) -> int:
    from slime_plugin_search_r1.corpus import Corpus
    from slime_plugin_search_r1.index import META, build

    output: Path = options.output
    if output.exists() and not (output / META).is_file():
        if not output.is_dir() or any(output.iterdir()):
            raise DataError(f"{output} is there already and is no index; name another folder")
        output.rmdir()
    start = time.monotonic()
    corpus = Corpus(options.corpus, options.max_bad_lines, _Told("reading"))
    index = build(corpus, _Told("scoring"))
    index.save(output)
    for line in corpus.bad:
        _say(line)
    bad = f", {corpus.bad_lines} bad lines left out" if corpus.bad_lines else ""
    _say(f"indexed {len(index)} passages in {time.monotonic() - start:.1f} s{bad}")
    _say(f"serve them with: {NAME} serve --index {output}")
    return 0


def _serve(options: argparse.Namespace) -> int:
    from slime_plugin_search_r1.index import load
    from slime_plugin_search_r1.server import serve

    index = load(options.index)

    def listening(url: str) -> None:
        print(f"{NAME}: {len(index)} passages at {url}/retrieve", flush=True)

    asyncio.run(serve(index, options.host, options.port, listening))
    _say("stopped")
    return 0


def _task(options: argparse.Namespace) -> int:
    from slime_plugin_search_r1.tasks import write_task

    written = write_task(
        options.output,
        facts=options.facts,
        conversations=options.conversations,
        seed=options.seed,
    )
    for what, path in written.items():
        print(f"{what:14} {path}")
    return 0


@final
class _Told:
    """Progress as lines on stderr, one now and then; on a terminal one line that changes."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._start = self._last = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        self._start = self._start or now
        self._last = self._last or now
        if now - self._last < EVERY_S:
            return
        self._last = now
        left = (now - self._start) * (total - done) / max(1, done)
        text = f"{NAME}: {self._what}: {100 * done / total:.0f} %, {left:.0f} s left"
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]:{width}}", end="\r", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


def _say(text: str) -> None:
    print(f"{NAME}: {text}", file=sys.stderr, flush=True)


def _whole(text: str) -> int:
    return _number(text, 0, 1 << 40)


def _port(text: str) -> int:
    return _number(text, 0, 65535)


def _number(text: str, least: int, most: int) -> int:
    number = int(text) if text.isdecimal() else -1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
    return number
