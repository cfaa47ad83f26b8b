"""``slime plugins doctor``: imports plugins in processes of their own and says what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from slime_hookspecs import API_VERSION

from slime_core.cli.plugins.arguments import Parser, add_blocks, add_json, picked, read_blocks
from slime_core.cli.plugins.examine import Finding, examine
from slime_core.cli.plugins.render import document
from slime_core.plugins import certificates
from slime_core.plugins.probe import TIMEOUT_S


def text(finding: Finding) -> Iterator[str]:
    """A finding for a person."""
    status = "broken" if finding.problems else finding.entry.status
    yield f"{status:<10} {finding.entry.plugin.display}"
    for label, value in _facts(finding):
        if value:
            yield f"{'':<11}{label:<12} {value}"
    for problem in finding.problems:
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
    """Print the findings. Returns 1 if a plugin is broken, else 0."""
    parser = _parser()
    found = parser.parse_args(argv)
    if not found.timeout > 0:
        parser.error(f"--timeout {found.timeout:g}: must be above 0")
    plugins = picked(found.names)
    known = dict(
        certificates.read(file, {one.name: one for one in plugins}) for file in found.certificate
    )
    findings = examine(plugins, read_blocks(found), found.timeout, known)
    ok = not any(finding.problems for finding in findings)
    if found.json:
        values = [finding.values for finding in findings]
        print(document("slime.plugins.doctor/1", api=API_VERSION, ok=ok, plugins=values))
    else:
        print("\n".join(line for finding in findings for line in text(finding)))
        broken = sum(bool(finding.problems) for finding in findings)
        print(f"plugins: {len(findings)}, broken: {broken}")
    return int(not ok)
