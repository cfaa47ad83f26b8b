"""``slime-conformance NAME``: run the conformance suite on an installed plugin.

Exit status: 0 where the plugin conforms, 1 where it does not, 2 where the question is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from slime_hookspecs.errors import UserError
from slime_hookspecs.testing.certificate import Outcome, Status
from slime_hookspecs.testing.checks import registered
from slime_hookspecs.testing.runner import Runner
from slime_hookspecs.testing.target import find

WORDS = {
    Status.PASSED: "ok",
    Status.FAILED: "FAILED",
    Status.SKIPPED: "skipped",
    Status.EXPECTED_FAILURE: "failed as expected",
    Status.UNEXPECTED_PASS: "PASSED UNEXPECTEDLY",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is what is returned."""
    given = _parser().parse_args(arguments)
    try:
        if given.list:
            return _list()
        return _check(given.plugin, given.select, given.json)
    except UserError as error:
        print(f"slime-conformance: {error}", file=sys.stderr)
        return error.exit_status


def _check(name: str | None, wanted: list[str] | None, file: Path | None) -> int:
    if name is None:
        _parser().error("say which plugin: slime-conformance NAME")
    with Runner(find(name)) as runner:
        certificate = runner.certificate(_shown(runner.outcomes(wanted)))
    if file:
        text = json.dumps(certificate.to_json(), indent=2, ensure_ascii=False)
        file.write_text(f"{text}\n", encoding="utf-8")
    print(certificate.summary)
    return 0 if certificate.ok else 1


def _shown(outcomes: Iterable[Outcome]) -> list[Outcome]:
    done = []
    for outcome in outcomes:
        print(_line(outcome), flush=True)
        done.append(outcome)
    return done


def _line(outcome: Outcome) -> str:
    lines = f"{outcome.name:<42} {WORDS[outcome.status]:<8}"
    if outcome.reason:
        lines = f"{lines} ({outcome.reason})"
    indented = outcome.message.replace("\n", "\n    ")
    return f"{lines}\n    {indented}" if outcome.message else lines.rstrip()


def _list() -> int:
    for one in registered().values():
        print(f"{one.name:<42} {one.proves}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="slime-conformance", description="Check that an installed plugin keeps its promises."
    )
    parser.add_argument("plugin", nargs="?", help="its entry name, or distribution:entry")
    parser.add_argument(
        "--select", nargs="+", metavar="CHECK", help="only these checks and tiers, by name"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the certificate here")
    parser.add_argument("--list", action="store_true", help="list all checks and what they prove")
    return parser


if __name__ == "__main__":
    sys.exit(main())
