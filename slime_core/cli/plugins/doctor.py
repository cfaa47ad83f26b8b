"""``slime plugins doctor``: imports plugins in processes of their own and says what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from slime_hookspecs import API_VERSION

from slime_core.cli.plugins.arguments import Parser, add_blocks, add_json, picked, read_blocks
from slime_core.cli.plugins.examine import Finding, examine
from slime_core.cli.plugins.render import document
from slime_core.plugins import certificates
from slime_core.plugins.probe import TIMEOUT_S


def text(finding: Finding, told: Collection[str] = ()) -> Iterator[str]:
    """A finding for a person, without the conflicts that were told of another plugin."""
    yield f"{finding.status:<10} {finding.entry.plugin.display}"
    for label, value in _facts(finding):
        if value:
            yield f"{'':<11}{label:<12} {value}"
    for problem in (*finding.problems, *finding.warnings):
        if problem in told:
            continue
        first, *more = problem.splitlines()
        yield f"{'':<11}-> {first}"
        yield from (f"{'':<14}{line.strip()}" for line in more)


def _facts(finding: Finding) -> Iterator[tuple[str, str]]:
    yield "written for", finding.entry.requires_api
    if finding.entry.status != "broken":
        yield "note", finding.entry.detail
    if probe := finding.probe:
        yield "import", "" if probe.import_s is None else f"{probe.import_s:.2f} s"
        yield "heavy", ", ".join(probe.heavy)
        yield "hooks", ", ".join(hook.removeprefix("slime_") for hook in probe.hooks)
        yield "options", ", ".join((probe.options or {}).get("properties", {}))
    if finding.conformance:
        yield "conformance", f"{finding.conformance.state}: {finding.conformance.summary}"


def report(findings: Sequence[Finding]) -> Iterator[str]:
    """All findings for a person, then how many are not well."""
    told: set[str] = set()
    for finding in findings:
        yield from text(finding, told)
        told.update(finding.conflicts)
    counts = Counter(finding.status for finding in findings)
    yield f"plugins: {len(findings)}, broken: {counts['broken']}, warnings: {counts['warning']}"


def _parser() -> Parser:
    parser = Parser("doctor", "Import plugins in processes of their own and say what is wrong.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="plugins; all by default")
    add_json(parser)
    add_blocks(parser)
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, metavar="S", help="seconds for each import"
    )
    parser.add_argument(
        "--certificate", type=Path, action="append", default=[], metavar="FILE",
        help="what slime plugins check --json wrote; repeatable",
    )  # fmt: skip
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the findings. Returns 1 if a plugin is broken, else 0: warnings do not count."""
    parser = _parser()
    found = parser.parse_args(argv)
    if not found.timeout > 0:
        parser.error(f"--timeout {found.timeout:g}: must be above 0")
    rules = read_blocks(found)
    plugins = picked(found.names, rules)
    known = dict(
        certificates.read(file, {one.name: one for one in plugins}) for file in found.certificate
    )
    findings = examine(plugins, rules, found.timeout, known)
    ok = not any(finding.problems for finding in findings)
    if found.json:
        values = [finding.values for finding in findings]
        print(document("slime.plugins.doctor/1", api=API_VERSION, ok=ok, plugins=values))
    else:
        print("\n".join(report(findings)))
    return int(not ok)
