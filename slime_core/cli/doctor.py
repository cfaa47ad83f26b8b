"""``slime doctor``: says what on this machine would keep a run from working, and the cure."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import NoReturn

from slime_core.cli.checks import Finding, all_findings
from slime_core.config.fail import config_error, did_you_mean


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise config_error(f"slime doctor: {message}")


def _wants_json(argv: Sequence[str]) -> bool:
    parser = _Parser(
        prog="slime doctor",
        description="Check that this machine can run slime.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    found, unknown = parser.parse_known_args(argv)
    if unknown:
        hint = did_you_mean(unknown[0], ["--json", "--help"])
        raise config_error(f"slime doctor: {unknown[0]} is not an option{hint}")
    return bool(found.json)


def text(findings: Sequence[Finding]) -> str:
    """The findings as lines for a person, then the count of what is wrong."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<8} {finding.name:<15} {finding.detail}")
        if finding.cure:
            lines.append(f"{'':<24} -> {finding.cure}")
    errors, warnings = (
        sum(f.status == status for f in findings) for status in ("error", "warning")
    )
    return "\n".join([*lines, f"errors: {errors}, warnings: {warnings}"])


def main(argv: Sequence[str]) -> int:
    """Print the findings. Returns 1 if any is an error, else 0."""
    as_json = _wants_json(argv)
    findings = all_findings()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print(text(findings))
    return int(any(finding.status == "error" for finding in findings))
