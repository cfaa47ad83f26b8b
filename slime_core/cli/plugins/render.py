"""Facts about plugins as JSON values and as aligned text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slime_core.plugins.catalog import Entry
    from slime_core.plugins.probe import Probe


def document(schema: str, **values: Any) -> str:
    """A JSON document that says which shape it has."""
    return json.dumps({"schema": schema, **values}, indent=2, ensure_ascii=False)


def entry_values(entry: Entry) -> dict[str, Any]:
    """What metadata says about a plugin."""
    plugin = entry.plugin
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "entry_point": plugin.value,
        "location": plugin.location,
        "requires_api": entry.requires_api,
        "status": entry.status,
        "detail": entry.detail,
        "blocked_by": entry.blocked_by,
        "blocked_hooks": entry.blocked_hooks,
    }


def probe_values(probe: Probe | None) -> dict[str, Any] | None:
    """What importing a plugin did, its options aside; ``None`` where it was not imported."""
    if probe is None:
        return None
    return {
        "outcome": probe.outcome,
        "error": probe.error,
        "import_s": probe.import_s,
        "heavy": list(probe.heavy),
        "cuda": probe.cuda,
        "hooks": list(probe.hooks),
    }


def table(rows: Iterable[Sequence[str]]) -> str:
    """Rows with their columns aligned; the last column runs on, and further lines stand below."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in cells), strict=True)]
    lines = []
    for row in cells:
        first, *more = row[-1].splitlines() or [""]
        padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        lines.append("  ".join([*padded, first]).rstrip())
        lines += [f"{'':{sum(widths) + 2 * len(widths)}}{line}" for line in more]
    return "\n".join(lines)
