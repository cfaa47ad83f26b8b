"""Everything that can be known about plugins: metadata, a probe, conflicts, a certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from slime_core.cli.plugins.advice import slow, unbounded
from slime_core.cli.plugins.render import entry_values, probe_values
from slime_core.plugins.blocks import Rule
from slime_core.plugins.catalog import Entry, catalog
from slime_core.plugins.certificates import Standing, shipped
from slime_core.plugins.finding import find
from slime_core.plugins.installed import Plugin
from slime_core.plugins.probe import Probe, probe_all
from slime_core.plugins.requirements import conflicts


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """What is known about one plugin.

    Attributes:
        entry: What metadata says.
        probe: What importing it did; ``None`` where it was not imported, because it is blocked.
        conflicts: Requirements that exclude those of another installed plugin.
        conformance: What its certificate says, or ``None`` without one.
    """

    entry: Entry
    probe: Probe | None
    conflicts: tuple[str, ...]
    conformance: Standing | None

    @property
    def problems(self) -> list[str]:
        """What must be mended before a run can use it."""
        said = [self.entry.detail] if self.entry.status == "broken" else []
        if self.probe is not None:
            said += [] if self.probe.well else [self.probe.error]
        if self.conformance and self.conformance.state == "failed":
            said.append(f"its certificate says: {self.conformance.summary}")
        return [*said, *self.conflicts]

    @property
    def warnings(self) -> list[str]:
        """What does not keep a run from using it, and should be mended all the same."""
        if self.entry.status in ("broken", "blocked"):
            return []
        return [*unbounded(self.entry), *(slow(self.probe) if self.probe else ())]

    @property
    def status(self) -> str:
        """How it stands, in one word."""
        if self.problems:
            return "broken"
        return "warning" if self.warnings and self.entry.status == "ok" else self.entry.status

    @property
    def values(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            **entry_values(self.entry),
            "probe": probe_values(self.probe),
            "options": self.probe.options if self.probe else None,
            "conflicts": list(self.conflicts),
            "conformance": self.conformance.values if self.conformance else None,
            "problems": self.problems,
            "warnings": self.warnings,
            "ok": not self.problems,
        }


def examine(
    plugins: Sequence[Plugin],
    blocks: Sequence[Rule],
    timeout_s: float,
    certificates: Mapping[str, Standing] | None = None,
) -> list[Finding]:
    """Probe plugins and gather what is known about them. Blocked ones are not imported."""
    entries = {entry.plugin: entry for entry in catalog(blocks)}
    probed = [one for one in plugins if entries[one].status != "blocked" and one.version]
    probes = dict(zip(probed, probe_all(probed, timeout_s), strict=True))
    excluding = conflicts(find())
    return [
        Finding(
            entries[one],
            probes.get(one),
            tuple(line for owner, line in excluding if owner == one),
            (certificates or {}).get(one.name) or shipped(one),
        )
        for one in plugins
    ]
