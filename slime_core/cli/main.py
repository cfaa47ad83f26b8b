"""The command ``slime``: read what was asked for, check it, then show it or start it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slime_core.config import Raw
    from slime_core.plugins import Policy

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

BROKEN_PIPE = 141
"""Exit status where nobody reads the output any more, likewise."""

SHORT_HELP = """\
usage: slime --plugin NAME --model DIR [options]    start a run
       slime --config RUN.toml [options]            start a run from a file
       slime --resume RUN [options]                 go on with a run
       slime doctor                                 check this machine
       slime plugins COMMAND                        look after plugins
       slime rollouts RUN                           read what a model wrote
       slime demo                                   see a tiny model learn
       slime --help                                 all options
       slime --version                              the version"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status; 2 means that what was asked for is wrong."""
    try:
        return _dispatch(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt as stop:
        print("slime: interrupted", file=sys.stderr)
        return getattr(stop, "exit_status", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        from slime_core.cli.errors import report

        return report(error)


def _dispatch(argv: list[str]) -> int:
    if not argv:
        print(SHORT_HELP, file=sys.stderr)
        return 2
    if argv[0] == "doctor":
        from slime_core.cli.doctor import main as doctor

        return doctor(argv[1:])
    if argv[0] == "plugins":
        from slime_core.cli.plugins.main import main as plugins

        return plugins(argv[1:])
    if argv[0] == "rollouts":
        from slime_core.cli.rollouts.main import main as rollouts

        return rollouts(argv[1:])
    if argv[0] == "demo":
        from slime_core.demo.main import main as demo

        return int(demo(argv[1:]))
    return _run(argv)


def _run(argv: list[str]) -> int:
    from slime_core import config

    raw = config.parse(argv)
    if raw.version:
        import slime_core

        print(f"slime {slime_core.__version__}")
        return 0
    if raw.help:
        return _help(raw)
    return _start(raw)


def _help(raw: Raw) -> int:
    from slime_core.config.commandline import parser

    print(parser().format_help(), end="")
    if raw.plugins:
        from slime_core.cli.plugin_help import plugin_help

        print("\n" + plugin_help(raw.plugins, _policy(raw, raw.plugins)), end="")
    return 0


def _policy(raw: Raw, asked: Sequence[str]) -> Policy:
    """What may be loaded, as far as it was said before any plugin is known."""
    from slime_core.plugins import Policy

    block, trusted = raw.stated("block") or (), raw.stated("trust") or ()
    return Policy.of(block, raw.stated("locked"), trusted, asked)


def _start(raw: Raw) -> int:
    """Check everything, then show the run or start it."""
    import warnings

    from slime_core import config, plugins
    from slime_core.cli.errors import told_where
    from slime_core.launch import Launch

    # Megatron says so four times at each import; slime has its own way without Transformer Engine.
    warnings.filterwarnings("ignore", message="Transformer Engine and Apex are not installed")
    if raw.resume is not None:
        from slime_core.observe.rundir import RunDir

        raw = config.resume(raw, RunDir.open(raw.resume).config_file)
    asked = config.named(raw)
    loaded = plugins.load(asked, policy=_policy(raw, asked))
    raw = plugins.with_environment(raw, loaded)
    defaults = plugins.collect_defaults(loaded)
    resolved = config.resolve(raw, defaults)
    with told_where(raw):
        plan, bound = plugins.bind(resolved, loaded)
        settled = plugins.with_absolute_paths(resolved, bound)
        launch = Launch(settled, plan, bound, raw.resume)
        if raw.dry_run:
            from slime_core.cli.dry_run import dry_run

            return dry_run(launch, raw, loaded)
        from slime_core.run import run

        return run(launch)
